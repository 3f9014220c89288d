"""llama.cpp itself, where the library xllamacpp is installed: it proves our GGUF files, and answers with them."""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch

from sonneteer.errors import ModelError
from sonneteer.models.attached.http import Address, told

LOG = logging.getLogger(__name__)
ANSWER_SECONDS = 600.0


class LlamaCpp:
    """A GGUF file, opened by llama.cpp. Raises ModelError where it refuses the file."""

    def __init__(self, path: Path, tokens: int, seats: int = 1, threads: int | None = None) -> None:
        """With room for so many tokens in all answers together, of which so many are written at once."""
        settings = {"path": str(path), "tokens": tokens, "seats": seats, "threads": threads or torch.get_num_threads()}
        self._process = _Process(settings)
        weakref.finalize(self, self._process.end)

    @property
    def address(self) -> Address:
        """Where it listens, on this machine only."""
        return Address(self._process.url)

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @staticmethod
    def is_there() -> bool:
        """Whether the library is installed."""
        return importlib.util.find_spec("xllamacpp") is not None

    def tokens(self, text: str) -> list[int]:
        """How it reads a text with its marks."""
        asked = {"content": text, "add_special": False, "parse_special": True}
        return list(told(self.address, "/tokenize", asked)["tokens"])

    def next_tokens(self, ids: Sequence[int], count: int) -> dict[int, float]:
        """The likeliest tokens after these, with their log-probabilities."""
        asked = {"prompt": list(ids), "n_predict": 1, "n_probs": count, "temperature": 0.0, "cache_prompt": False}
        reply = told(self.address, "/v1/completions", asked, ANSWER_SECONDS)
        ranked = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return {int(one["id"]): float(one["logprob"]) for one in ranked}

    def answer(self, messages: Sequence[Mapping[str, str]], max_tokens: int) -> str:
        """What it answers to a conversation, always the likeliest token, by the template in the file."""
        asked: dict[str, Any] = {
            "messages": [dict(message) for message in messages],
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "chat_template_kwargs": {"enable_thinking": False},
        }
        reply = told(self.address, "/v1/chat/completions", asked, ANSWER_SECONDS)
        return str(reply["choices"][0]["message"]["content"])


class _Process:
    """llama.cpp's server, started again at the same address if it dies."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = dict(settings)
        self._changing = threading.Lock()
        self._is_over = False
        self._running, self.url = self._started(port=0)
        threading.Thread(target=self._watch, name="llama.cpp", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its number in the system."""
        return self._running.pid

    def end(self) -> None:
        """For good. There is nothing in it that could be lost."""
        with self._changing:
            self._is_over = True
            _end(self._running)

    def _started(self, port: int) -> tuple[subprocess.Popen[str], str]:
        asked = json.dumps({**self._settings, "port": port})
        process = subprocess.Popen(
            [sys.executable, "-m", "sonneteer.models.llama_cpp_process", asked],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us: answers that are being written are finished
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if line.startswith('{"address"'):
            return process, str(json.loads(line)["address"])
        _end(process)
        says = json.loads(line)["problem"] if line else f"it ended with status {process.returncode}"
        raise ModelError(f"llama.cpp does not open {self._settings['path']}: {says}")

    def _watch(self) -> None:
        while True:
            self._running.wait()
            with self._changing:
                if self._is_over:
                    return
                LOG.warning("llama.cpp ended with status %s, and is started again.", self._running.returncode)
                _end(self._running)
                try:
                    self._running, self.url = self._started(urlsplit(self.url).port or 0)
                except ModelError as problem:
                    LOG.error("%s", problem)
                    return


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
