"""The texts that go with exported weights: Ollama's Modelfile, how to start vLLM, and the model card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from sonneteer.errors import ModelError
from sonneteer.records import Certificate, DatasetVersion, ModelVersion, Report, Run

Turn = tuple[str, str]
VLLM = """\
#!/bin/sh
# Serves the model with vLLM (pip install vllm, on a machine with a graphics card), to this machine only.
export HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1
exec vllm serve "$(dirname "$0")/model" --served-model-name {name} --max-model-len {context} \\
  --host 127.0.0.1 --port 8000 "$@"
"""
COMPOSE = """\
# docker compose up: the model behind vLLM's OpenAI-compatible API, to this machine only.
services:
  {name}:
    image: ${{VLLM_IMAGE:-vllm/vllm-openai:latest}}
    command: ["--model", "/model", "--served-model-name", "{name}", "--max-model-len", "{context}"]
    environment: {{HF_HUB_OFFLINE: "1", VLLM_NO_USAGE_STATS: "1", DO_NOT_TRACK: "1"}}
    volumes: ["./model:/model:ro"]
    ports: ["127.0.0.1:8000:8000"]
    ipc: host
    restart: unless-stopped
    healthcheck:
      test: ["CMD", "curl", "--fail", "--silent", "http://127.0.0.1:8000/health"]
      interval: 10s
      start_period: 300s
    deploy:
      resources:
        reservations:
          devices: [{{driver: nvidia, count: 1, capabilities: [gpu]}}]
"""
HOW_TO_LOAD = {
    "merged": """\
In this folder, with transformers (vLLM, SGLang and MLX take the folder's path as well):

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model, tokenizer = AutoModelForCausalLM.from_pretrained("."), AutoTokenizer.from_pretrained(".")
asked = [{{"role": "user", "content": "Hello!"}}]
ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
print(tokenizer.decode(model.generate(**ids, max_new_tokens=50)[0, ids["input_ids"].shape[1] :]))
```""",
    "adapter": """\
In this folder, with PEFT, where `BASE` is the folder or hub id of exactly the base that is named above. A base that was
itself made by Sonneteer is written by `sonneteer export --to merged --model VERSION`.

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("BASE"), ".")
tokenizer = AutoTokenizer.from_pretrained(".")
```""",
    "gguf": "`llama-server --jinja -m FILE.gguf` (llama.cpp), or open the file in LM Studio.",
    "gguf-adapter": "`llama-server --jinja -m BASE.gguf --lora {name}-lora.gguf`, with the GGUF file of that base.",
    "ollama": "`ollama create {name} -f Modelfile`, and then `ollama run {name}`",
    "vllm": "`./serve.sh`: OpenAI's API at http://127.0.0.1:8000/v1, where the model is called `{name}`.",
    "compose": "`docker compose up`: OpenAI's API at http://127.0.0.1:8000/v1, where the model is called `{name}`.",
}


class SpelledTemplate:
    """A chat template as what it writes before and after each role's words, and to ask for an answer.

    Raises ModelError for a template that does more than that.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        asked, told = self._real([("user", "U")]), self._real([("user", "U"), ("assistant", "A")])
        self.around = {"user": _around(asked, "U"), "assistant": _around(told.removeprefix(asked), "A")}
        self.question = self._real([("user", "U")], is_question=True).removeprefix(asked)
        with_system = self._real([("system", "S"), ("user", "U")])
        self.around["system"] = _around(with_system.removesuffix(asked), "S")
        probe = [("system", "s"), ("user", "u"), ("assistant", "a"), ("user", "v")]
        for turns in (probe, probe[1:], probe[:2]):
            if self.write(turns) != self._real(turns, is_question=True):
                raise ModelError(
                    "This model's chat template does more than to put marks around words, so it cannot be said in "
                    "Ollama's own language. Export it with --to gguf: llama.cpp reads the template itself."
                )

    def write(self, turns: Sequence[Turn]) -> str:
        """A conversation up to the answer that is asked for."""
        return "".join(self.around[role][0] + text + self.around[role][1] for role, text in turns) + self.question

    def for_ollama(self) -> str:
        """The same in the language of Go's templates."""
        cases = [
            f'{{{{ {"if" if role == "system" else "else if"} eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}'
            for role, (before, after) in sorted(self.around.items(), key=lambda item: item[0] != "system")
        ]
        return "{{ range .Messages }}" + "".join(cases) + "{{ end }}{{ end }}" + self.question

    def _real(self, turns: Sequence[Turn], is_question: bool = False) -> str:
        messages = [{"role": role, "content": text} for role, text in turns]
        return str(
            self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=is_question, enable_thinking=False
            )
        )


def _around(text: str, words: str) -> tuple[str, str]:
    before, found, after = text.rpartition(words)
    if not found:
        raise ModelError("This model's chat template leaves out words, so it cannot be said in Ollama's own language.")
    return before, after


def modelfile(file: str, template: SpelledTemplate, stops: Sequence[str], context: int, temperature: float) -> str:
    """What `ollama create` reads."""
    lines = [f"FROM ./{file}", f'TEMPLATE """{template.for_ollama()}"""', f"PARAMETER num_ctx {context}"]
    lines += [f"PARAMETER temperature {temperature:g}", *(f'PARAMETER stop "{stop}"' for stop in stops)]
    return "\n".join(lines) + "\n"


Lineage = tuple[ModelVersion, Run, DatasetVersion, Report | None]


def model_card(lineage: Lineage, certificate: Certificate, form: str, root: Path) -> str:
    """What whoever gets the files should know of them. Paths are told as the recipe has them, or below `root`."""
    model, run, dataset, report = lineage
    base = public_name(model.base, root)
    sources = "\n".join(
        f"- {public_name(source.path, root)}: {source.rows:,} rows; {source.licence or 'no licence stated'}"
        for source in dataset.sources
    )
    results = {True: "passed", False: "FAILED"}
    checks = "\n".join(f"- {results[check.is_passed]}: {check.name}. {check.says}" for check in certificate.checks)
    return f"""\
# {model.id}

{model.name}, version {model.number}: `{base}` adapted by Sonneteer, exported as {form}.
Fingerprint of the base: `{model.base_fingerprint}`.

## How to load it

{HOW_TO_LOAD[form].format(name=model.name, base=base)}

## Is it better than its base?

{_verdict(report)}

## What it learned from

Data set {dataset.id}: {dataset.splits["train"].examples:,} training examples.

{sources}

The base model's licence, and those of the data, hold for this model, too.

## How it was trained

Run {run.id}: {run.steps:,} steps, {run.learned_tokens:,} learned tokens, {run.trained_parameters:,} of
{run.parameters:,} weights trained. Validation loss {_loss(run.first_validation_loss)} before and
{_loss(run.best_validation_loss)} after.

## Are these files what was trained?

{"All" if certificate.is_valid else "NOT all"} of {len(certificate.checks)} checks passed; `certificate.json` has them.

{checks}
"""


def public_name(path: str, root: Path | None = None) -> str:
    """What a file or a model is called elsewhere: nothing of this machine, but where it lies below `root`."""
    place = Path(path)
    if root is not None and place.is_relative_to(root):
        return place.relative_to(root).as_posix()
    return place.name if place.expanduser().is_absolute() else path


def _verdict(report: Report | None) -> str:
    if report is None:
        return "Nobody has compared them yet."
    reasons = "\n".join(f"- {reason}" for reason in report.reasons)
    return f"Verdict: {report.verdict}, on sealed test examples at {report.confidence:.1%} confidence.\n\n{reasons}"


def _loss(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def write_executable(path: Path, text: str) -> None:
    """A script that can be started."""
    path.write_text(text, "utf-8")
    path.chmod(0o755)
