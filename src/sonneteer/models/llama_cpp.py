"""llama.cpp itself, where the library xllamacpp is installed: it proves our GGUF files, and answers with them."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import torch

from sonneteer.errors import ModelError


class LlamaCpp:
    """A GGUF file, opened by llama.cpp. Raises ModelError where it refuses the file."""

    def __init__(self, path: Path, tokens: int, seats: int = 1, threads: int | None = None) -> None:
        """With room for so many tokens in all answers together, of which so many are written at once."""
        library = importlib.import_module("xllamacpp")
        settings = library.CommonParams()
        settings.model.path = str(path)
        for part in (settings.cpuparams, settings.cpuparams_batch):
            part.n_threads = threads or torch.get_num_threads()
        settings.n_ctx, settings.n_parallel, settings.kv_unified = tokens, seats, True
        settings.warmup, settings.verbosity, settings.ui = False, 0, False
        try:
            self._server = library.Server(settings)
        except RuntimeError as problem:
            raise ModelError(f"llama.cpp does not open {path}: {problem}") from problem

    @property
    def address(self) -> str:
        """Where it listens, on this machine only."""
        return str(self._server.listening_address)

    @staticmethod
    def is_there() -> bool:
        """Whether the library is installed."""
        return importlib.util.find_spec("xllamacpp") is not None

    def tokens(self, text: str) -> list[int]:
        """How it reads a text with its marks."""
        asked = json.dumps({"content": text, "add_special": False, "parse_special": True}).encode()
        address = f"{self._server.listening_address}/tokenize"
        request = Request(address, data=asked, headers={"Content-Type": "application/json"})
        with build_opener(ProxyHandler({})).open(request) as told:  # never through a proxy: it is this machine
            return list(json.load(told)["tokens"])

    def next_tokens(self, ids: Sequence[int], count: int) -> dict[int, float]:
        """The likeliest tokens after these, with their log-probabilities."""
        asked = {"prompt": list(ids), "n_predict": 1, "n_probs": count, "temperature": 0.0, "cache_prompt": False}
        told = self._server.handle_completions(asked)
        ranked = told["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return {int(one["id"]): float(one["logprob"]) for one in ranked}

    def answer(self, messages: Sequence[Mapping[str, str]], max_tokens: int) -> str:
        """What it answers to a conversation, always the likeliest token, by the template in the file."""
        asked: dict[str, Any] = {
            "messages": [dict(message) for message in messages],
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "chat_template_kwargs": {"enable_thinking": False},
        }
        return str(self._server.handle_chat_completions(asked)["choices"][0]["message"]["content"])
