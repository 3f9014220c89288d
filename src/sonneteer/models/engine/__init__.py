"""The engine: many conversations answered at once by one Llama-like network, adapters beside it."""
