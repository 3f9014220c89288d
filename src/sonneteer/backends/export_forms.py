"""A trained model in the forms that other programs load, each proven to be the model that was trained."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from sonneteer.backends.certify import check_rendering, same_model
from sonneteer.backends.engine_checks import GREEDY_TOKENS, Reference, check_engine
from sonneteer.backends.export_files import COMPOSE, VLLM, SpelledTemplate, modelfile, public_name, write_executable
from sonneteer.chat import Options
from sonneteer.errors import ExtraError, ModelError
from sonneteer.models.adapters import put_on
from sonneteer.models.generate import LocalChat
from sonneteer.models.gguf import NUMBERS
from sonneteer.models.gguf_model import lay_in_lora, read_model, write_lora, write_model
from sonneteer.models.llama_cpp import LlamaCpp
from sonneteer.models.load import LanguageModel, open_folder, save_model, tokenizer_of
from sonneteer.models.proof import FLOAT32, Tolerance, Trace, distance, traces
from sonneteer.models.render import TemplateRenderer
from sonneteer.records import Check, Example

Form = Literal["merged", "adapter", "gguf", "gguf-adapter", "ollama", "vllm", "compose"]
TOLERANCES = {
    "f32": FLOAT32,
    "f16": Tolerance(1e-3, 0.05, 0.99),
    "q8_0": Tolerance(0.05, 0.6, 0.97),
    "q6_k": Tolerance(0.1, 1.0, 0.95),
    "q5_k_m": Tolerance(0.2, 1.5, 0.93),
    "q4_k_m": Tolerance(0.4, 2.5, 0.9),
}
"""What the numbers of a form explain: nats of KL, nats of an answer's token, equal clear first choices."""


class Original(NamedTuple):
    """The trained model as it is served, which an export is compared with."""

    model: LanguageModel
    base: Callable[[], LanguageModel]
    """Opens what an adapter is put on."""
    result: Path
    """The folder that the training left."""
    is_adapter: bool
    renderer: TemplateRenderer
    """As training reads."""
    reading: Callable[[LanguageModel], TemplateRenderer]
    probes: list[Example]
    temperature: float


class Wanted(NamedTuple):
    """What to write where."""

    form: Form
    numbers: str
    folder: Path
    model: str | None = None
    """The version's id; without it the one that is in force."""


def write_export(original: Original, wanted: Wanted) -> list[Check]:
    """Write the files of a form, open them again, and compare. Raises ModelError where it cannot hold the model."""
    wanted.folder.mkdir(parents=True)
    probes = _with_greedy_answers(original)
    original = original._replace(probes=probes)
    match wanted.form:
        case "adapter":
            return _adapter(original, wanted)
        case "gguf" | "ollama":
            return _gguf(original, wanted)
        case "gguf-adapter":
            return _gguf_adapter(original, wanted)
    checks = _merged(original, wanted)
    settings = {"name": original.model.name, "context": original.model.context}
    if wanted.form == "vllm":
        write_executable(wanted.folder / "serve.sh", VLLM.format(**settings))
    if wanted.form == "compose":
        (wanted.folder / "compose.yaml").write_text(COMPOSE.format(**settings), "utf-8")
    return checks


def _with_greedy_answers(original: Original) -> list[Example]:
    """The probes, and their questions again with what the model itself answers: there it may go astray unseen."""
    questions = [probe for probe in original.probes if not probe.is_text]
    answers = LocalChat(original.model).answer([one.prompt for one in questions], Options(max_tokens=GREEDY_TOKENS))
    own = [
        one.with_answer(one.answer.model_copy(update={"text": answer.text}))
        for one, answer in zip(questions, answers, strict=True)
        if answer.text
    ]
    return [*original.probes, *own]


def _merged(original: Original, wanted: Wanted) -> list[Check]:
    folder = wanted.folder if wanted.form == "merged" else wanted.folder / "model"
    save_model(original.model, folder)
    return _compared(original, open_folder(original.model.name, folder), FLOAT32)


def _adapter(original: Original, wanted: Wanted) -> list[Check]:
    _refuse_whole(original)
    shutil.copytree(original.result, wanted.folder, dirs_exist_ok=True)
    config = wanted.folder / "adapter_config.json"
    named = json.loads(config.read_text("utf-8"))
    named["base_model_name_or_path"] = public_name(named["base_model_name_or_path"])  # not a path of this machine
    config.write_text(json.dumps(named, indent=2), "utf-8")
    base = original.base()
    put_on(base.network, wanted.folder)
    return _compared(original, replace(base, tokenizer=tokenizer_of(wanted.folder)), FLOAT32)


def _gguf(original: Original, wanted: Wanted) -> list[Check]:
    network, tokenizer = original.model.network, original.model.tokenizer
    file = wanted.folder / f"{original.model.name}-{wanted.numbers}.gguf"
    checks = []
    if wanted.numbers in NUMBERS:
        write_model(network, tokenizer, file, wanted.numbers)
        opened = read_model(file, type(network)(network.config), tokenizer)
        read = LanguageModel(original.model.name, opened.network, opened.tokenizer, original.model.fingerprint)
        checks = _compared(original, read, TOLERANCES[wanted.numbers], template=False)
    else:
        _quantise(original, file, wanted.numbers)
    checks += _through_llama_cpp(original, file, TOLERANCES[wanted.numbers], is_needed=not checks)
    if wanted.form == "ollama":
        template = SpelledTemplate(tokenizer)
        stops = [str(tokenizer.decode([stop])) for stop in sorted(original.renderer.stop_ids())]
        text = modelfile(file.name, template, stops, original.model.context, original.temperature)
        (wanted.folder / "Modelfile").write_text(text, "utf-8")
    return checks


def _quantise(original: Original, file: Path, numbers: str) -> None:
    """Fewer bits by llama.cpp's own program."""
    tool = shutil.which("llama-quantize")
    if tool is None:
        raise ExtraError(
            f"The form {numbers} is made by llama.cpp's program llama-quantize, which is not on this machine's path. "
            f"Install llama.cpp, or take one of {', '.join(NUMBERS)}."
        )
    whole = file.with_name("whole.gguf")
    write_model(original.model.network, original.model.tokenizer, whole, "f16")
    done = subprocess.run([tool, str(whole), str(file), numbers.upper()], capture_output=True, text=True, check=False)
    whole.unlink()
    if done.returncode:
        raise ModelError(f"llama-quantize failed: {done.stderr.strip()[-500:]}")


def _gguf_adapter(original: Original, wanted: Wanted) -> list[Check]:
    _refuse_whole(original)
    base, file = original.base(), wanted.folder / f"{original.model.name}-lora.gguf"
    write_lora(base.network, original.result, file)
    lay_in_lora(base.network, file)
    return _compared(original, replace(base, tokenizer=original.model.tokenizer), FLOAT32)


def _refuse_whole(original: Original) -> None:
    if not original.is_adapter:
        raise ModelError(f"{original.model.name} was trained whole, so it has no adapter. Export it with --to merged.")


def _compared(original: Original, exported: LanguageModel, tolerance: Tolerance, template: bool = True) -> list[Check]:
    """An export that was opened again against the model it was made of: tokens, template, distributions, answers."""
    theirs = original.reading(exported)
    checks = check_rendering("exported files", original.renderer, theirs, original.probes)
    checks = checks if template else checks[:-1]  # GGUF's lacks the tags for trainers; what it writes was compared
    name = "the exported model is the one that is served"
    apart = distance(_traces(original), traces(exported.network, theirs, original.probes))
    return [*checks, same_model(name, apart, tolerance)]


def _traces(original: Original) -> list[Trace]:
    return traces(original.model.network, original.renderer, original.probes)


def _through_llama_cpp(original: Original, file: Path, tolerance: Tolerance, is_needed: bool) -> list[Check]:
    """The file as llama.cpp itself reads it, where that is installed."""
    if not LlamaCpp.is_there():
        if is_needed:
            said = "Only llama.cpp itself can read this form: pip install 'sonneteer[llamacpp]', and export again."
            return [Check(name="llama.cpp: the exported model is the one that is served", is_passed=False, says=said)]
        return []
    longest = max(len(original.renderer.answer(probe).ids) for probe in original.probes)
    engine = LlamaCpp(file, longest + GREEDY_TOKENS)
    reference = Reference(original.model, original.renderer, original.probes)
    return check_engine("llama.cpp", engine, reference, tolerance)
