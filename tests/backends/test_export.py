"""Exports are written, read by others, and refused where they are not the model that was trained."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sonneteer import lifecycle, opening, versions
from sonneteer.backends import export_forms
from sonneteer.backends.export import Exported, Wanted
from sonneteer.backends.export_files import SpelledTemplate
from sonneteer.backends.export_forms import Form
from sonneteer.chat import Options
from sonneteer.cli import main
from sonneteer.errors import BusyError, ExtraError, ModelError, TakenError
from sonneteer.models.gguf import read_gguf
from sonneteer.models.gguf_model import write_model
from sonneteer.models.llama_cpp import LlamaCpp
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Message, Prompt
from sonneteer.store import Store

from ..models.networks import saved, tokenizer

RECIPE = """
name: tiny
data: {sources: rows.jsonl}
base: {model: base, vocabulary: {new_terms: NEW, least_saving: 1}}
training: {learning_rate: 0.02, epochs: 2, rank: 4}
promotion: {better_on: [bits_per_character]}
"""


def trained(folder: Path, new_terms: int) -> LoadedRecipe:
    saved("llama", folder / "base")
    rows = [
        {"messages": [{"role": "user", "content": f"Say {i}"}, {"role": "assistant", "content": "Good day to you."}]}
        for i in range(40)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.yaml").write_text(RECIPE.replace("NEW", str(new_terms)))
    loaded = read_recipe(folder)
    store = Store(folder / "workspace")
    lifecycle.train(loaded, store, Silent())
    assert lifecycle.certify(loaded, store, Silent()).is_valid
    return loaded


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> LoadedRecipe:
    return trained(tmp_path_factory.mktemp("plain"), new_terms=0)


@pytest.fixture(scope="module")
def worded(tmp_path_factory: pytest.TempPathFactory) -> LoadedRecipe:
    return trained(tmp_path_factory.mktemp("worded"), new_terms=2)


def exported(
    loaded: LoadedRecipe, form: Form, folder: Path, numbers: str = "f16", allow: str | None = None
) -> Exported:
    store = Store(loaded.folder / "workspace")
    return lifecycle.export(loaded, store, Silent(), Wanted(form, numbers, folder / form), allow)


FILES = {
    "merged": ["model.safetensors", "tokenizer.json"],
    "adapter": ["adapter_model.safetensors", "tokenizer.json"],
    "gguf": ["tiny-f16.gguf"],
    "gguf-adapter": ["tiny-lora.gguf"],
    "ollama": ["tiny-f16.gguf", "Modelfile"],
    "vllm": ["model/model.safetensors", "serve.sh"],
    "compose": ["model/model.safetensors", "compose.yaml"],
}


@pytest.mark.parametrize("form", FILES)
def test_every_form_is_certified_and_says_what_it_is(form: Form, plain: LoadedRecipe, tmp_path: Path) -> None:
    done = exported(plain, form, tmp_path)
    assert done.is_done, done.refusals
    assert done.certificate is not None
    assert len(done.certificate.checks) >= 5
    for name in [*FILES[form], "README.md", "certificate.json"]:
        assert (tmp_path / form / name).stat().st_size > 100, name
    card = (tmp_path / form / "README.md").read_text()
    assert "All of" in card
    assert "- rows.jsonl: " in card
    for file in [
        *(tmp_path / form).rglob("*.json"),
        *(tmp_path / form).rglob("*.md"),
    ]:  # this machine is its own affair
        assert str(plain.folder) not in file.read_text(), file.name
    if form == "ollama":
        text = (tmp_path / form / "Modelfile").read_text()
        assert text.startswith("FROM ./tiny-f16.gguf\n")
        assert '<|im_start|>user\n{{ .Content }}<|im_end|>\n{{ else if eq .Role "assistant" }}' in text
        assert 'PARAMETER stop "<|im_end|>"' in text


@pytest.mark.parametrize("form", ["merged", "adapter"])
def test_the_card_s_own_words_load_the_model(form: Form, plain: LoadedRecipe, tmp_path: Path) -> None:
    exported(plain, form, tmp_path)
    code = (tmp_path / form / "README.md").read_text().split("```python\n")[1].split("```")[0]
    code = code.replace("BASE", str(plain.folder / "base"))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / form, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("form", ["merged", "adapter"])
def test_new_words_travel_with_the_exported_model(form: Form, worded: LoadedRecipe, tmp_path: Path) -> None:
    assert exported(worded, form, tmp_path).is_done


def test_the_merged_model_is_plain_transformers(plain: LoadedRecipe, tmp_path: Path) -> None:
    exported(plain, "merged", tmp_path)
    network = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    chat = lifecycle.open_chat(plain, Store(plain.folder / "workspace"), "tuned")
    text = AutoTokenizer.from_pretrained(tmp_path / "merged").apply_chat_template(
        [{"role": "user", "content": "Say 3"}], add_generation_prompt=True, return_tensors="pt", return_dict=False
    )
    with torch.no_grad():
        ours = chat.model.network(text).logits  # type: ignore[attr-defined]
        torch.testing.assert_close(network.float()(text).logits, ours)


@pytest.fixture(autouse=True)
def _without_llama_cpp(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Most tests do without, which is faster."""
    if "llama_cpp_reads" not in request.fixturenames:
        monkeypatch.setattr(LlamaCpp, "is_there", lambda: False)


def patiently(asked: Callable[[], list[int]], seconds: float = 60) -> list[int]:
    """What an engine says as soon as it is there."""
    until = time.monotonic() + seconds
    while True:
        try:
            return asked()
        except BusyError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


@pytest.fixture
def llama_cpp_reads() -> None:
    """llama.cpp is installed and takes part."""
    pytest.importorskip("xllamacpp")


@pytest.mark.usefixtures("llama_cpp_reads")
def test_llama_cpp_itself_reads_the_same_tokens_and_gives_the_same_answers(
    worded: LoadedRecipe, tmp_path: Path
) -> None:
    done = exported(worded, "gguf", tmp_path, "q8_0")
    assert done.certificate is not None
    told = [check for check in done.certificate.checks if check.name.startswith("llama.cpp")]
    assert len(told) == 3
    assert all(check.is_passed for check in told), told


def test_a_model_without_certificate_stays_here_unless_somebody_gives_a_reason(
    plain: LoadedRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(plain.folder, tmp_path / "copy")
    store = Store(tmp_path / "copy" / "workspace")
    loaded = read_recipe(tmp_path / "copy")
    model = versions.newest(loaded, store)
    store.save(model.model_copy(update={"certificate_file": None}))
    place = [str(loaded.path), "--workspace", str(store.root), "--to", "adapter"]
    assert main(["export", *place]) == 3
    assert "Nobody has proven" in " ".join(capsys.readouterr().out.split())
    assert not (store.root / "exports" / f"{model.id}-adapter").exists()
    assert main(["export", *place, "--allow", "a demo"]) == 0
    entry = next(entry for entry in reversed(store.audit_log()) if entry.action == "export as adapter")
    assert entry.content.startswith("because: a demo; against it: ")


def test_a_fault_of_the_writer_is_found_and_nothing_is_left(
    plain: LoadedRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(network: torch.nn.Module, *others: object) -> None:
        with torch.no_grad():
            network.model.layers[0].self_attn.q_proj.weight.mul_(-3)  # type: ignore[union-attr]
        write_model(network, *others)  # type: ignore[arg-type]
        with torch.no_grad():
            network.model.layers[0].self_attn.q_proj.weight.div_(-3)  # type: ignore[union-attr]

    monkeypatch.setattr(export_forms, "write_model", spoiled)
    done = exported(plain, "gguf", tmp_path)
    assert not done.is_done
    assert "the exported model is the one that is served" in done.refusals[0]
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_is_left_with_no_half_of_a_model(
    plain: LoadedRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(network: torch.nn.Module, tokenizer: object, file: Path, numbers: str) -> None:
        file.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export_forms, "write_model", full)
    with pytest.raises(OSError, match="No space left"):
        exported(plain, "gguf", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken_stays_as_it_is(plain: LoadedRecipe, tmp_path: Path) -> None:
    (tmp_path / "merged").mkdir()
    with pytest.raises(TakenError, match="never overwritten"):
        exported(plain, "merged", tmp_path)


def test_fewer_bits_need_llama_cpp_s_program(
    plain: LoadedRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExtraError, match="llama-quantize"):
        exported(plain, "gguf", tmp_path, "q4_k_m")
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.usefixtures("llama_cpp_reads")
def test_fewer_bits_are_made_by_llama_cpp_s_program_and_read_by_llama_cpp(
    plain: LoadedRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "llama-quantize"  # stands for the real one: it copies, and notes the form it was asked for
    program.write_text(f'#!/bin/sh\ncp "$1" "$2" && echo "$3" > {tmp_path}/asked\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert exported(plain, "gguf", tmp_path, "q4_k_m").is_done
    assert (tmp_path / "asked").read_text().strip() == "Q4_K_M"
    assert read_gguf(tmp_path / "gguf" / "tiny-q4_k_m.gguf").tensors


def test_a_template_that_does_more_than_put_marks_around_words_is_refused_for_ollama() -> None:
    loud = tokenizer()
    loud.chat_template = "{% for m in messages %}{{ loop.index }}: {{ m.content }}\n{% endfor %}"
    with pytest.raises(ModelError, match="does more than to put marks"):
        SpelledTemplate(loud)


@pytest.mark.usefixtures("llama_cpp_reads")
def test_a_version_is_served_by_llama_cpp_once_its_numbers_are_proven(
    worded: LoadedRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(worded.folder / "workspace")
    serving = ServingSettings(engine="llamacpp", llamacpp={"threads": 1})
    loaded = worded._replace(recipe=worded.recipe.model_copy(update={"serving": serving}))
    model = versions.newest(worded, store)
    served = opening.opener(loaded, store)(model.id)
    prompt, options = Prompt(messages=(Message(role="user", text="Say 3"),)), Options(max_tokens=6)
    ours = lifecycle.open_chat(worded, store, "tuned").answer([prompt], options)
    assert served.chat.answer([prompt], options)[0].text == ours[0].text
    monkeypatch.setattr(opening.exporting, "export", None)  # what was proven is not written again
    opening.opener(loaded, store)(model.id)
    monkeypatch.setattr(LlamaCpp, "is_there", lambda: False)
    with pytest.raises(ExtraError, match=r"sonneteer\[llamacpp\]"):
        opening.opener(loaded, store)


@pytest.mark.usefixtures("llama_cpp_reads")
def test_llama_cpp_is_started_again_when_it_dies_and_ends_when_nobody_holds_it(
    worded: LoadedRecipe, tmp_path: Path
) -> None:
    done = exported(worded, "gguf", tmp_path, "f16")
    assert done.is_done
    engine = LlamaCpp(tmp_path / "gguf" / "tiny-f16.gguf", tokens=64)
    before, first = engine.tokens("Say 3"), psutil.Process(engine.pid)
    signals = signal.getsignal(signal.SIGINT)
    first.kill()
    assert patiently(partial(engine.tokens, "Say 3")) == before
    assert engine.pid != first.pid
    assert signal.getsignal(signal.SIGINT) is signals
    second = psutil.Process(engine.pid)
    del engine
    second.wait(30)


def test_a_version_that_fails_its_proof_is_not_served(plain: LoadedRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(plain.folder / "workspace")
    model = versions.newest(plain, store)
    failed = opening.exporting.Exported(None, ("tokens: they differ.",), is_done=False)
    monkeypatch.setattr(opening.exporting, "export", lambda *_, **__: failed)
    with pytest.raises(ModelError, match=r"cannot be served by llama.cpp.*they differ"):
        opening.exporting.proven_gguf(lambda: None, store, model, "q8_0")  # type: ignore[arg-type, return-value]
