"""The certificate finds each of the field's known faults, and promotion refuses without it."""

from __future__ import annotations

import json
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Listener
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from sonneteer import lifecycle, promotion, versions
from sonneteer.cli import main
from sonneteer.models.adapters import put_on
from sonneteer.models.attached import vllm as attached
from sonneteer.models.load import open_folder
from sonneteer.models.render import TemplateRenderer
from sonneteer.progress import Silent
from sonneteer.recipe.engines import VllmSettings
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Certificate, ModelVersion

from ..models.attached import fake_vllm
from ..models.attached.fake_vllm import FakeVllm, Network
from ..models.networks import network
from .conftest import Trained, failed


def test_an_honest_model_gets_its_certificate_and_then_the_championship(trained: Trained) -> None:
    refused = promotion.promote(trained.loaded, trained.store)
    assert not refused.is_done
    assert "sonneteer certify" in refused.refusals[0]
    certificate = trained.certify()
    assert certificate.is_valid, failed(certificate)
    proven = {check.name: check.says for check in certificate.checks}
    beside = "the served model, an adapter beside its base in one batch with another,"
    for form in ("the stored model", "the merged model", beside, "the model over HTTP"):
        assert re.search(r"at most [\d.e-]+ nats \(KL\).*100.0% of the", proven[f"{form} is the one that was trained"])
    promoted = promotion.promote(trained.loaded, trained.store)
    assert (promoted.is_done, promoted.refusals) == (True, ())
    assert [model.stage for model in trained.store.find(ModelVersion)] == ["champion"]


def change_weights(result: Path) -> None:
    tensors = load_file(result / "adapter_model.safetensors")
    save_file({name: tensor * 1.2 for name, tensor in tensors.items()}, result / "adapter_model.safetensors")


def empty_adapter(result: Path) -> None:
    tensors = load_file(result / "adapter_model.safetensors")
    save_file(
        {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}, result / "adapter_model.safetensors"
    )


def other_template(result: Path) -> None:
    (result / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: "
        "{% endif %}"
    )


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights": (change_weights, "Changed since: adapter_model.safetensors"),
    "adapter": (empty_adapter, "the stored model is the one that was trained"),
    "template": (other_template, "in training, but"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_changed_file_is_found_and_refused(fault: str, trained: Trained) -> None:
    break_it, words = FAULTS[fault]
    break_it(trained.result)
    certificate = trained.certify()
    assert not certificate.is_valid
    assert words in failed(certificate)
    assert " inf " not in failed(certificate)
    assert not promotion.promote(trained.loaded, trained.store).is_done


def test_a_base_model_that_was_exchanged_is_found(trained: Trained) -> None:
    network("llama", seed=1).save_pretrained(trained.loaded.folder / "base")
    assert "the base model is the one that was trained on" in failed(trained.certify())


def test_a_file_that_changes_after_the_certificate_is_refused(trained: Trained) -> None:
    trained.certify()
    change_weights(trained.result)
    assert "have changed since" in promotion.promote(trained.loaded, trained.store).refusals[0]


def test_an_end_that_the_server_does_not_know_is_found(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TemplateRenderer, "stop_ids", lambda self: {0})
    assert "the server does not stop" in failed(trained.certify())


def test_a_prompt_that_is_asked_otherwise_than_learned_names_the_first_token(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = TemplateRenderer.prompt_ids
    monkeypatch.setattr(
        TemplateRenderer, "prompt_ids", lambda self, prompt, prefill="": [0, *true(self, prompt, prefill)]
    )
    assert "token 0 is" in failed(trained.certify())


def test_a_reason_lets_any_model_pass_and_is_logged(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    place = [str(trained.loaded.path), "--workspace", str(trained.store.root), "--json"]
    assert main(["promote", *place]) == 3
    assert main(["promote", *place, "--allow", "the old one is down"]) == 0
    (entry,) = [entry for entry in trained.store.audit_log() if entry.action == "promote"]
    assert entry.content.startswith("because: the old one is down; against it: ")
    capsys.readouterr()
    assert main(["audit", "show", "--workspace", str(trained.store.root)]) == 0
    assert "because:" in capsys.readouterr().out
    assert main(["certify", *place]) == 0
    assert json.loads(capsys.readouterr().out)["certificate"]["checks"][0]["is_passed"]


def test_the_audit_log_tells_what_was_served_where(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    listening = SimpleNamespace(run=lambda sockets: None)
    monkeypatch.setattr("sonneteer.serving.listen.server", lambda app, settings: listening)
    settings = trained.loaded.recipe.serving.model_copy(update={"port": 0})
    recipe = trained.loaded.recipe.model_copy(update={"serving": settings})
    lifecycle.serve(trained.loaded._replace(recipe=recipe), trained.store, Silent())
    (entry,) = [entry for entry in trained.store.audit_log() if entry.action == "serve"]
    assert entry.subject == f"models/{versions.newest(trained.loaded, trained.store).id}"
    assert re.fullmatch(r"at 127\.0\.0\.1:\d+", entry.content)


@contextmanager
def vllm_with(network: Network) -> Iterator[FakeVllm]:
    with FakeVllm() as server:
        server.network = network
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def thinking(trained: Trained, scale: float) -> Network:
    """The base with the adapter, so much of it."""
    base = open_folder("tiny", trained.loaded.folder / "base")
    plain = trained.loaded.folder / "scaled"
    shutil.copytree(trained.result, plain)
    file = plain / "adapter_model.safetensors"
    save_file({name: one * (scale if "lora_B" in name else 1) for name, one in load_file(file).items()}, file)
    put_on(base.network, plain)
    base.network.eval()
    lock = threading.Lock()

    @torch.no_grad()
    def likeliest(folder: str, ids: list[int]) -> list[tuple[int, str, float]]:
        assert Path(folder) == trained.result
        with lock:
            told = base.network(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].log_softmax(-1).topk(5)
        rows = zip(told.indices.tolist(), told.values.tolist(), strict=True)
        return [(token, str(base.tokenizer.decode([token])), value) for token, value in rows]

    return likeliest


def certified_behind(trained: Trained, settings: VllmSettings) -> Certificate:
    serving = ServingSettings(engine="vllm", vllm=settings)
    recipe = trained.loaded.recipe.model_copy(update={"serving": serving})
    return lifecycle.certify(trained.loaded._replace(recipe=recipe), trained.store, Silent())


@pytest.mark.parametrize(("scale", "is_valid"), [(1.0, True), (0.0, False)], ids=["the adapter", "the base alone"])
def test_an_attached_vllm_server_is_asked_too(scale: float, is_valid: bool, trained: Trained) -> None:
    with vllm_with(thinking(trained, scale)) as server:
        certificate = certified_behind(trained, VllmSettings(url=server.url))
    asked = {check.name: check.is_passed for check in certificate.checks if "vLLM" in check.name}
    assert asked["the model that vLLM answers with, over HTTP, is the one that was trained"] is is_valid
    assert "vLLM: it answers as the served model does" in asked
    assert certificate.is_valid is is_valid, failed(certificate)
    assert server.adapters == {}  # nothing stays in it


@contextmanager
def held_here(network: Network) -> Iterator[int]:
    """The port at which a started server may ask it, for as long as that runs: it has ended when this is left."""
    with Listener(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with listener.accept() as asking, suppress(EOFError, ConnectionError):
                while True:
                    asking.send(network(*asking.recv()))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.address[1]  # type: ignore[misc]  # a name, for sockets of another kind
        thread.join(60)
        assert not thread.is_alive(), "it was not started, or not stopped"


@pytest.mark.parametrize(("scale", "is_valid"), [(1.0, True), (0.0, False)], ids=["the adapter", "the base alone"])
def test_a_vllm_server_is_started_as_for_serving_asked_and_stopped(
    scale: float, is_valid: bool, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attached, "LOOK_SECONDS", 0.05)
    with held_here(thinking(trained, scale)) as port:
        monkeypatch.setenv("FAKE_VLLM_NETWORK", str(port))
        command = (sys.executable, fake_vllm.__file__)
        certificate = certified_behind(trained, VllmSettings(command=command, start_seconds=60))
    asked = {check.name: check.is_passed for check in certificate.checks if "vLLM" in check.name}
    assert asked["the model that vLLM answers with, over HTTP, is the one that was trained"] is is_valid
    assert "vLLM: it answers as the served model does" in asked
    assert certificate.is_valid is is_valid, failed(certificate)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"command": ("no-such-program",)}, r"vLLM is not installed here.*pip install vllm"),
        ({"command": (sys.executable, "-c", "print('out of memory')")}, "ended before it was ready.*out of memory"),
        ({"url": "http://127.0.0.1:9"}, "nobody answers"),
    ],
    ids=["not installed", "ends at once", "nobody there"],
)
def test_where_vllm_cannot_be_asked_the_certificate_says_so_and_is_not_valid(
    settings: dict[str, object], why: str, trained: Trained
) -> None:
    certificate = certified_behind(trained, VllmSettings.model_validate(settings))
    (unmade,) = [check for check in certificate.checks if not check.is_passed]
    assert unmade.name == "vLLM answers as the served model does"
    assert re.search(f"(?s)^This check could not be made.*{why}.*--serving.engine embedded", unmade.says)
    assert not certificate.is_valid
    assert not promotion.promote(trained.loaded, trained.store).is_done
