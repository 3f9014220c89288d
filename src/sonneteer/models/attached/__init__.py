"""Engines that are servers of their own, behind our APIs: llama.cpp in this process, vLLM in another."""
