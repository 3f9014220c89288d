"""A compiled pass computes, bit by bit, what its operations compute one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sonneteer.models.engine.decoder import Decoder
from sonneteer.models.engine.stack import compiled
from sonneteer.models.load import open_folder

from ..networks import saved


def refuse(module: torch.nn.Module) -> None:
    raise RuntimeError("no such operation")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral", "smollm3"])
def test_the_compiled_pass_gives_the_same_bits(
    family: str, dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network = open_folder(family, saved(family, tmp_path)).network.to(dtype)
    whole, piecemeal = Decoder(network), Decoder(network)
    whole.pack(keeps_network=True)
    assert not caplog.records
    monkeypatch.setattr(torch.jit, "script", refuse)
    piecemeal.pack(keeps_network=True)
    assert "Answers come slower" in caplog.text
    assert torch.equal(whole.probe(), piecemeal.probe())


def test_what_is_compiled_is_one_call(tmp_path: Path) -> None:
    decoder = Decoder(open_folder("tiny", saved("llama", tmp_path)).network)
    assert isinstance(compiled(decoder.stack), torch.jit.ScriptModule)
