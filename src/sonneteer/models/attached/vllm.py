"""A vLLM server: watched, and started again if it was we who started it; adapters are loaded while it runs."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import Any

from sonneteer.errors import BusyError, MachineError, MissingError, ModelError, RequestError, SonneteerError
from sonneteer.models.attached.http import Address, Body, told
from sonneteer.models.attached.process import ServerProcess

LOG = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
HEALTH_SECONDS = 5.0  # a server that takes longer to say that it is well is not
LOAD_SECONDS = 120.0


class Vllm:
    """A server that is ready. Raises MachineError where it does not become so in time."""

    def __init__(self, address: Address, process: ServerProcess | None, start_seconds: float) -> None:
        self.address = address
        self.process = process
        self._adapters: dict[str, str] = {}
        self._loading = threading.Lock()
        self._is_closing = threading.Event()
        self._wait_until_ready(start_seconds)
        self._thread = threading.Thread(target=self._watch, name="vllm", daemon=True)
        self._thread.start()

    def models(self) -> list[dict[str, Any]]:
        """What it serves: base models and adapters."""
        return list(told(self.address, "/v1/models")["data"])

    def load(self, name: str, path: str) -> None:
        """Load an adapter, or again. Raises ModelError where the server refuses it."""
        with self._loading:
            try:
                self._load(name, path)
            except MissingError as problem:
                raise ModelError(
                    f"vLLM at {self.address.url} loads no adapters while it runs ({problem}). Start it with "
                    "--enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, and where only Sonneteer reaches it."
                ) from problem
            except RequestError as problem:
                raise ModelError(
                    f"vLLM cannot answer with {name}: {problem}. It must see the adapter at {path} "
                    "(serving.vllm.workspace), and it knows plain LoRA only: export others with --to merged."
                ) from problem
            self._adapters[name] = path

    def load_again(self, name: str) -> None:
        """An adapter that the server has lost."""
        self.load(name, self._adapters[name])

    def unload(self, name: str) -> None:
        """Nobody answers with this adapter any more."""
        with self._loading:
            self._adapters.pop(name, None)
            with suppress(BusyError, MissingError, RequestError):  # gone already, or with the whole server
                told(self.address, "/v1/unload_lora_adapter", {"lora_name": name})

    def close(self) -> None:
        """Watch no longer, and stop what we started."""
        self._is_closing.set()
        self._thread.join(HEALTH_SECONDS + LOOK_SECONDS)
        if self.process is not None:
            self.process.stop()

    @property
    def is_well(self) -> bool:
        """Whether it says so."""
        try:
            told(self.address, "/health", seconds=HEALTH_SECONDS)
        except (BusyError, MissingError, RequestError):
            return False
        return True

    def _load(self, name: str, path: str) -> None:
        body: Body = {"lora_name": name, "lora_path": path, "load_inplace": True}
        told(self.address, "/v1/load_lora_adapter", body, LOAD_SECONDS)

    def _wait_until_ready(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.is_well:
            if self.process is not None and self.process.is_over:
                self.process.stop()  # nothing is left of it but whoever would have ended it with us
                raise MachineError(
                    f"vLLM ended before it was ready. {self.process.log_path} has all that it said, at last:\n"
                    f"{self.process.last_words}"
                )
            if self.process is None or time.monotonic() > end:
                self._give_up(seconds)
            self._is_closing.wait(LOOK_SECONDS)

    def _give_up(self, seconds: float) -> None:
        if self.process is None:
            raise MachineError(
                f"serving.vllm.url: nobody answers at {self.address.url}/health. Start vLLM there, or leave the "
                "setting out and one is started."
            )
        self.process.stop()
        raise MachineError(
            f"vLLM was not ready after {seconds:g} seconds (serving.vllm.start_seconds). {self.process.log_path} has "
            "what it said."
        )

    def _watch(self) -> None:
        """Start it again when it has ended, and give it its adapters when it is back."""
        was_well, trouble = True, ""
        while not self._is_closing.wait(LOOK_SECONDS):
            if self.process is not None and self.process.is_over:
                trouble = _revive(self.process, trouble)
            is_well = self.is_well
            if is_well and not was_well:
                self._load_all_again()
            if was_well and not is_well:
                LOG.error("vLLM at %s is not well.", self.address.url)
            was_well = is_well

    def _load_all_again(self) -> None:
        for name, path in list(self._adapters.items()):
            try:
                self.load(name, path)
            except (BusyError, ModelError) as problem:
                LOG.error("%s", problem)


def _revive(process: ServerProcess, trouble: str) -> str:
    """Start it again. Returns what stands in the way, which is told once and tried again at the next look."""
    said = process.last_words[-300:]
    try:
        process.start_again()
    except SonneteerError as problem:  # too little memory, perhaps, for a moment
        if str(problem) != trouble:
            LOG.error("vLLM has ended. %s", problem)
        return str(problem)
    LOG.error("vLLM has ended and is started again. At last it said: %s", said)
    return ""
