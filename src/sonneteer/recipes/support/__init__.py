"""The bundled example: customer service of a made-up shop, and the generator that wrote it."""
