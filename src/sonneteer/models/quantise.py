"""A base model whose frozen weights take 4 or 8 bits while an adapter is trained (QLoRA, arXiv 2305.14314)."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Literal

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from sonneteer.errors import MachineError
from sonneteer.models.load import LanguageModel, device
from sonneteer.models.places import fingerprint_of_folder

Bits = Literal["4bit", "8bit"]


def open_quantised(name: str, path: Path, bits: Bits) -> LanguageModel:
    """Open a folder of transformers files with its linear layers quantised by bitsandbytes.

    Raises MachineError where that library is missing or does not run.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library's own, about PyTorch
            importlib.import_module("bitsandbytes")
    except (ImportError, OSError, RuntimeError) as problem:
        raise MachineError(
            f"training.base_weights: '{bits}' needs the library bitsandbytes, which does not load here ({problem}). "
            "Install it with pip install 'sonneteer[quantised]', or write 'whole'."
        ) from problem
    network = AutoModelForCausalLM.from_pretrained(
        path,
        dtype=torch.float32,
        quantization_config=_settings(bits),
        device_map={"": device()},
        local_files_only=True,
    )
    for layer in network.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False  # at the first validation it would be packed, and learn no more
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    return LanguageModel(name, network, tokenizer, fingerprint_of_folder(path))


def open_unpacked(name: str, path: Path, bits: Bits) -> LanguageModel:
    """Open a folder of transformers files with the weights that these bits stand for, in float32."""
    packed = open_quantised(name, path, bits)
    network = packed.network.dequantize(torch.float32)
    return LanguageModel(name, network, packed.tokenizer, packed.fingerprint)


def _settings(bits: Bits) -> BitsAndBytesConfig:
    if bits == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
