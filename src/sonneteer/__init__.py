"""Sonneteer adapts a language model to a domain and proves each step."""

from __future__ import annotations

from sonneteer import quiet  # first: what it sets must stand before torch or a hub library loads

__version__ = "0.1.0"
__all__ = ["__version__", "quiet"]
