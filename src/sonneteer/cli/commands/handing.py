"""The command that hands a model over: files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sonneteer.cli import pages
from sonneteer.cli.options import WORKSPACE, Allow, Json, Model, Words, Workspace, opened
from sonneteer.cli.session import ExitCode, Outcome, as_json


def export(
    context: typer.Context,
    words: Words = None,
    to: Annotated[
        Literal["merged", "adapter", "gguf", "gguf-adapter", "ollama", "vllm", "compose"],
        typer.Option("--to", help="Who is to load it; docs/export.md says what each form holds."),
    ] = "merged",
    numbers: Annotated[
        Literal["f32", "f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m"],
        typer.Option("--numbers", help="How a GGUF file keeps the weights; those with _k need llama.cpp's quantizer."),
    ] = "f16",
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="FOLDER", help="Where to write. Default: in the workspace.")
    ] = None,
    model: Model = None,
    allow: Allow = None,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Write the model that is in force for other programs: safetensors, PEFT, GGUF, Ollama, vLLM. Refused unless
    certified."""
    work = opened(context, workspace, json, words)
    from sonneteer import lifecycle, versions
    from sonneteer.backends.export import Wanted

    id = versions.in_force(work.loaded, work.store, model).id
    place = folder or work.store.root / "exports" / f"{id}-{to}"
    done = lifecycle.export(*work, Wanted(to, numbers, place.absolute(), id), allow)
    page = [pages.certificate_page(done.certificate)] if done.certificate else []
    page += pages.refusal_lines(f"{id} is not exported:", done.refusals) if not done.is_done else []
    steps: dict[str, str | Path] = {"written:": place, "what it is:": place / "README.md"}
    document: dict[str, Any] = {
        "folder": str(place) if done.is_done else None,
        "certificate": as_json(done.certificate) if done.certificate else None,
        "refusals": done.refusals,
    }
    if done.is_done:
        return Outcome(document, [*page, *pages.next_steps(steps)])
    return Outcome(document, page, ExitCode.MUST_CHANGE)
