"""llama.cpp's server in a process of its own: `python -m sonneteer.models.llama_cpp_process SETTINGS`, as JSON.

The library takes over Ctrl-C in its process, and waits for ever when it is told to end before it has begun to answer.
Here that harms nobody: the process ends at once when its standard input is closed, be it that who started it is gone.
"""

from __future__ import annotations

import importlib
import json
import os
import sys


def main() -> None:
    """Open the file, write one line of JSON, the address or the problem, and answer over HTTP."""
    asked = json.loads(sys.argv[1])
    library = importlib.import_module("xllamacpp")
    settings = library.CommonParams()
    settings.model.path = asked["path"]
    for part in (settings.cpuparams, settings.cpuparams_batch):
        part.n_threads = asked["threads"]
    settings.n_ctx, settings.n_parallel, settings.kv_unified = asked["tokens"], asked["seats"], True
    settings.warmup, settings.verbosity, settings.ui = False, 0, False
    settings.port = asked["port"]
    try:
        server = library.Server(settings)
    except RuntimeError as problem:
        print(json.dumps({"problem": str(problem)}), flush=True)
        return
    print(json.dumps({"address": server.listening_address}), flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
