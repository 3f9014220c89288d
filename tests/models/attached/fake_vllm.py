"""A server that speaks vLLM's protocol, its peculiarities included, and knows no language.

python fake_vllm.py MODEL --served-model-name NAME --host HOST --port PORT [vLLM's other options]

FAKE_VLLM_NETWORK may hold the port of another process, which then really answers.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

KNOWN = {"model", "prompt", "max_tokens", "temperature", "top_p", "top_k", "seed", "frequency_penalty"}
KNOWN |= {"presence_penalty", "stop_token_ids", "stream", "stream_options", "logit_bias", "logprobs"}
KNOWN |= {"return_tokens_as_token_ids", "structured_outputs"}
KNOWN_IN_CHATS = KNOWN - {"prompt"} | {"messages", "top_logprobs", "tools", "tool_choice"}
KNOWN_IN_CHATS |= {"add_generation_prompt", "continue_final_message"}
IMAGE_TOKENS = 100


Network = Callable[[str, list[int]], list[tuple[int, str, float]]]
"""What really answers, if something does: an adapter's folder and token ids give the likeliest."""


class FakeVllm(ThreadingHTTPServer):
    """Answers with who it is, and how many tokens it has read."""

    daemon_threads = True

    def __init__(self, port: int = 0, key: str = "", may_load: bool = True) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.key = key
        self.may_load = may_load
        self.adapters: dict[str, str] = {}
        self.asked: list[dict[str, Any]] = []
        self.network: Network | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: FakeVllm

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        """Health, and the list of models."""
        if self.path == "/health":
            self._reply(200, b"")  # without a key, as vLLM does
        elif self._may_come_in():
            entries = [{"id": "base", "object": "model", "parent": None, "max_model_len": 400}]
            entries += [{"id": name, "object": "model", "parent": "base"} for name in self.server.adapters]
            self._json(200, {"object": "list", "data": entries})

    def do_POST(self) -> None:
        """Adapters and completions."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self._may_come_in():
            return
        if self.path == "/v1/load_lora_adapter" and self.server.may_load:
            self._load(body)
        elif self.path == "/v1/unload_lora_adapter" and self.server.may_load:
            self.server.adapters.pop(body["lora_name"], None)
            self._reply(200, b"Success: LoRA adapter removed successfully.")
        elif self.path == "/v1/completions":
            self._complete(body, KNOWN, len(body["prompt"]))
        elif self.path == "/v1/chat/completions":
            self._complete(body, KNOWN_IN_CHATS, _chat_tokens(body["messages"]))
        else:
            self._json(404, {"detail": "Not Found"})

    def _load(self, body: dict[str, Any]) -> None:
        if not (Path(body["lora_path"]) / "adapter_config.json").exists():
            self._error(400, "BadRequestError", f"No adapter found for {body['lora_path']}")
            return
        self.server.adapters[body["lora_name"]] = body["lora_path"]
        self._reply(200, b"Success: LoRA adapter added successfully.")

    def _complete(self, body: dict[str, Any], known: set[str], read: int) -> None:
        self.server.asked.append(body)
        unknown = set(body) - known
        if unknown:
            self._error(400, "BadRequestError", f"extra fields: {sorted(unknown)}")
        elif body["model"] != "base" and body["model"] not in self.server.adapters:
            self._error(404, "NotFoundError", f"The model `{body['model']}` does not exist.")
        elif self.server.network is not None:
            self._think(body, self.server.network)
        else:
            self._stream(body, read, *_words(body, read))

    def _think(self, body: dict[str, Any], network: Network) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        ids, end = list(body["prompt"]), None
        for written in range(1, body["max_tokens"] + 1):
            likeliest = network(self.server.adapters[body["model"]], ids)
            token, text, log_prob = likeliest[0]
            ids.append(token)
            is_end = token in body["stop_token_ids"]
            end = "stop" if is_end else "length" if written == body["max_tokens"] else None
            told = {f"token_id:{other}": value for other, _, value in likeliest}
            logprobs = {"tokens": [f"token_id:{token}"], "token_logprobs": [log_prob], "top_logprobs": [told]}
            choice = {"index": 0, "text": "" if is_end else text, "finish_reason": end, "logprobs": logprobs}
            usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": written}
            self._event({"id": "cmpl-1", "choices": [choice], "usage": usage})
            if is_end:
                break
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _stream(self, body: dict[str, Any], read: int, words: list[str], reason: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, word in enumerate(words):
            said = {"delta": {"content": word}} if "messages" in body else {"text": word}
            choice: dict[str, Any] = {"index": 0, **said, "finish_reason": None, "stop_reason": None}
            if "messages" in body and body.get("logprobs"):
                token = {"token": f"token_id:{number + 40}", "logprob": -0.5, "bytes": list(word.encode())}
                choice["logprobs"] = {"content": [token | {"top_logprobs": [token][: body["top_logprobs"]]}]}
            elif body.get("logprobs") is not None:
                choice["logprobs"] = {
                    "tokens": [f"token_id:{number + 40}"],
                    "token_logprobs": [-0.5],
                    "top_logprobs": [{f"token_id:{number + 40}": -0.5, "token_id:39": -1.5}],
                }
            if number + 1 == len(words):
                choice["finish_reason"] = reason
            usage = {"prompt_tokens": read, "completion_tokens": number + 1}
            self._event({"id": "cmpl-1", "object": "text_completion", "choices": [choice], "usage": usage})
            time.sleep(float(os.environ.get("FAKE_VLLM_SECONDS", "0")))
        self._event({"id": "cmpl-1", "choices": [], "usage": {"completion_tokens": len(words)}})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, event: dict[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _chunk(self, raw: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))

    def _may_come_in(self) -> bool:
        if self.server.key and self.headers.get("authorization") != f"Bearer {self.server.key}":
            self._json(401, {"error": "Unauthorized"})
            return False
        return True

    def _error(self, status: int, kind: str, message: str) -> None:
        self._json(status, {"error": {"message": message, "type": kind, "param": None, "code": status}})

    def _json(self, status: int, body: Any) -> None:
        self._reply(status, json.dumps(body).encode())

    def _reply(self, status: int, raw: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def _chat_tokens(messages: list[dict[str, Any]]) -> int:
    parts = [part for message in messages for part in message["content"] if isinstance(message["content"], list)]
    return len(messages) + IMAGE_TOKENS * sum(part["type"] == "image_url" for part in parts)


def _words(body: dict[str, Any], read: int) -> tuple[list[str], str]:
    """What it says, token by token, and why it ends."""
    schema = (body.get("structured_outputs") or {}).get("json")
    if schema is not None:
        name = schema.get("properties", {}).get("name", {}).get("const")
        told = {"name": name, "arguments": {"city": "Rome"}} if name else {"n": 3}
        words = [json.dumps(told)[i : i + 4] for i in range(0, len(json.dumps(told)), 4)]
    elif body["model"] == "caller":
        words = ["Let me ", "see.\n", "<tool", "_call>", "nonsense", " for ever"]
    else:
        words = [body["model"], " has", " read", f" {read}"]
    is_cut = len(words) > body["max_tokens"]
    return words[: body["max_tokens"]], "length" if is_cut else "stop"


def network_there(port: int) -> Network:
    """A network that another process holds, which answers at this port."""
    there, one_at_a_time = Client(("127.0.0.1", port)), threading.Lock()

    def likeliest(folder: str, ids: list[int]) -> list[tuple[int, str, float]]:
        with one_at_a_time:
            there.send((folder, ids))
            told: list[tuple[int, str, float]] = there.recv()
            return told

    return likeliest


if __name__ == "__main__":
    assert os.environ["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert "--enable-lora" in sys.argv
    print("fake vLLM of", sys.argv[1], flush=True)
    started = FakeVllm(int(sys.argv[sys.argv.index("--port") + 1]), os.environ["VLLM_API_KEY"])
    if network := os.environ.get("FAKE_VLLM_NETWORK"):
        started.network = network_there(int(network))
    started.serve_forever()
