"""GGUF files, version 3 (github.com/ggml-org/ggml, docs/gguf.md): written whole, and read back.

Of the types of numbers only those are known that numpy can make exactly: float32, float16, and blocks of 8-bit integers
with a scale (Q8_0).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sonneteer.errors import ModelError

Array = NDArray[Any]
Number = Literal["f32", "f16", "q8_0"]

MAGIC, VERSION, ALIGNMENT, BLOCK = b"GGUF", 3, 32, 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
FIXED = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    UINT32: "<I",
    INT32: "<i",
    FLOAT32: "<f",
    BOOL: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
NUMBERS: dict[Number, int] = {"f32": 0, "f16": 1, "q8_0": 8}
FILE_TYPES: dict[Number, int] = {"f32": 0, "f16": 1, "q8_0": 7}
Q8_BLOCK = np.dtype([("scale", "<f2"), ("values", "i1", BLOCK)])

Value = str | int | float | bool | Sequence[str] | Sequence[int] | Sequence[float]


@dataclass
class GgufFile:
    """What stands in a file: settings by name, and matrices by name, the last dimension the fastest."""

    settings: dict[str, Value] = field(default_factory=dict)
    tensors: dict[str, Array] = field(default_factory=dict)


def write_gguf(path: Path, content: GgufFile, numbers: Number) -> None:
    """Write a file. Vectors, and matrices whose rows are no whole blocks, stay in float32."""
    packed = {name: _packed(tensor, numbers) for name, tensor in content.tensors.items()}
    with path.open("wb") as stream:
        stream.write(MAGIC + struct.pack("<IQQ", VERSION, len(packed), len(content.settings)))
        for name, value in content.settings.items():
            _write_text(stream, name)
            _write_value(stream, value)
        offset = 0
        for name, (kind, raw) in packed.items():
            shape = content.tensors[name].shape
            _write_text(stream, name)
            stream.write(struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), NUMBERS[kind], offset))
            offset += _padded(len(raw))
        stream.write(bytes(_padded(stream.tell()) - stream.tell()))
        for _, raw in packed.values():
            stream.write(raw + bytes(_padded(len(raw)) - len(raw)))


def read_gguf(path: Path) -> GgufFile:
    """Read a file, its matrices as float32. Raises ModelError where it is none, or holds numbers not known here."""
    try:
        with path.open("rb") as stream:
            return _read(stream, path)
    except (struct.error, UnicodeDecodeError, ValueError) as problem:
        raise ModelError(f"{path} is no whole GGUF file: {problem}") from problem


class _Entry(NamedTuple):
    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


def _read(stream: BinaryIO, path: Path) -> GgufFile:
    if stream.read(4) != MAGIC:
        raise ModelError(f"{path} is no GGUF file.")
    _, tensors, settings = _unpacked(stream, "<IQQ")
    content = GgufFile()
    for _ in range(settings):
        name = _read_text(stream)
        content.settings[name] = _read_value(stream, _unpacked(stream, "<I")[0])
    entries = [_read_entry(stream) for _ in range(tensors)]
    start = _padded(stream.tell())
    for entry in entries:
        stream.seek(start + entry.offset)
        content.tensors[entry.name] = _read_tensor(stream, entry, path)
    return content


def _read_entry(stream: BinaryIO) -> _Entry:
    name, dimensions = _read_text(stream), _unpacked(stream, "<I")[0]
    *shape, kind, offset = _unpacked(stream, f"<{dimensions}QIQ")
    return _Entry(name, tuple(reversed(shape)), kind, offset)


def _read_tensor(stream: BinaryIO, entry: _Entry, path: Path) -> Array:
    count = prod(entry.shape)
    if entry.kind == NUMBERS["q8_0"]:
        blocks = np.frombuffer(stream.read(count // BLOCK * Q8_BLOCK.itemsize), Q8_BLOCK)
        flat = blocks["scale"].astype(np.float32)[:, None] * blocks["values"].astype(np.float32)
        return flat.reshape(entry.shape)
    kinds = {NUMBERS["f32"]: "<f4", NUMBERS["f16"]: "<f2"}
    if entry.kind not in kinds:
        raise ModelError(f"{path}: the numbers of {entry.name} (type {entry.kind}) are not known here.")
    kind = np.dtype(kinds[entry.kind])
    return np.frombuffer(stream.read(count * kind.itemsize), kind).astype(np.float32).reshape(entry.shape)


def _packed(tensor: Array, numbers: Number) -> tuple[Number, bytes]:
    if tensor.ndim < 2 or numbers == "f32":
        return "f32", tensor.astype("<f4").tobytes()
    if numbers == "f16":
        return "f16", tensor.astype("<f2").tobytes()
    if tensor.shape[-1] % BLOCK:
        return "f32", tensor.astype("<f4").tobytes()
    return "q8_0", _blocks(tensor).tobytes()


def _blocks(tensor: Array) -> Array:
    """Each 32 numbers as bytes and their scale, which is kept in float16."""
    rows = tensor.astype(np.float32).reshape(-1, BLOCK)
    scale = np.abs(rows).max(-1) / 127
    blocks = np.zeros(len(rows), Q8_BLOCK)
    blocks["scale"] = scale
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    scaled = rows * inverse[:, None]
    blocks["values"] = np.trunc(scaled + np.copysign(0.5, scaled))  # halves away from zero, as C rounds
    return blocks


def _write_value(stream: BinaryIO, value: Value) -> None:
    if isinstance(value, Sequence) and not isinstance(value, str):
        kind = _kind(value[0]) if value else STRING
        kind = INT32 if kind == UINT32 else kind  # as llama.cpp wants its lists
        stream.write(struct.pack("<IIQ", ARRAY, kind, len(value)))
        for one in value:
            _write_one(stream, one, kind)
    else:
        kind = _kind(value)
        stream.write(struct.pack("<I", kind))
        _write_one(stream, value, kind)


def _kind(value: object) -> int:
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return UINT32
    return FLOAT32 if isinstance(value, float) else STRING


def _write_one(stream: BinaryIO, value: object, kind: int) -> None:
    if kind == STRING:
        _write_text(stream, str(value))
    else:
        stream.write(struct.pack(FIXED[kind], value))


def _write_text(stream: BinaryIO, text: str) -> None:
    raw = text.encode("utf-8")
    stream.write(struct.pack("<Q", len(raw)) + raw)


def _read_value(stream: BinaryIO, kind: int) -> Any:
    if kind == STRING:
        return _read_text(stream)
    if kind == ARRAY:
        inner, count = _unpacked(stream, "<IQ")
        return [_read_value(stream, inner) for _ in range(count)]
    return _unpacked(stream, FIXED[kind])[0]


def _read_text(stream: BinaryIO) -> str:
    return stream.read(_unpacked(stream, "<Q")[0]).decode("utf-8")


def _unpacked(stream: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(form, stream.read(struct.calcsize(form)))


def _padded(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT


def settings_of(architecture: str, named: Mapping[str, Value]) -> dict[str, Value]:
    """Settings under an architecture's name."""
    return {f"{architecture}.{name}": value for name, value in named.items()}
