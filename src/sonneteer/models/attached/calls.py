"""Tool calls as JSON that a schema enforces: servers know schemas, but not our notation around them."""

from __future__ import annotations

from typing import Any

from sonneteer.chat import Form
from sonneteer.errors import RequestError

CALL_ENDS = "\n</tool_call>"


def call_schema(tools: tuple[dict[str, Any], ...], form: Form) -> dict[str, Any]:
    """The schema of one call: {"name": ..., "arguments": ...} of a tool that may be called."""
    functions = [tool["function"] for tool in tools]
    chosen = [f for f in functions if form.only_tool in (None, f["name"])]
    if not chosen:
        raise RequestError(f"tool_choice names '{form.only_tool}', which is none of the tools")
    if len(chosen) == 1:
        return _one(chosen[0], "#")
    return {"anyOf": [_one(function, f"#/anyOf/{number}") for number, function in enumerate(chosen)]}


def _one(function: dict[str, Any], place: str) -> dict[str, Any]:
    arguments = {"type": "object", **(function.get("parameters") or {})}
    return {
        "type": "object",
        "properties": {
            "name": {"const": function["name"]},
            "arguments": _moved(arguments, f"{place}/properties/arguments"),
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _moved(schema: Any, place: str) -> Any:
    """The schema with its references to itself, now that it stands at this place of a larger one."""
    if isinstance(schema, list):
        return [_moved(each, place) for each in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {name: _moved(value, place) for name, value in schema.items()}
    reference = moved.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        moved["$ref"] = place + reference[1:]
    return moved
