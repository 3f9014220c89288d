"""Keep the libraries quiet: no call home, no hub, no threads that spin for long. Imported before any of them.

Several dependencies look up names on the internet by default. OpenMP's waiting threads starve each other on few cores
(4 to 10 times slower serving, measured on two), so they wait actively for about ten microseconds only, the gap
between two operations of one step, and not at all where several pools of threads share the cores. PyTorch asks the
system for memory in large pages (a training step then causes a fiftieth of the page faults), and oneDNN keeps fewer
of the kernels that it builds for each shape of matrix (a thousand of them take a gigabyte). All of it is decided by
environment variables that are read once, when the library loads. A value that the user has set stays.
"""

from __future__ import annotations

import logging
import os

SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "TOKENIZERS_PARALLELISM": "false",
    "THP_MEM_ALLOC_ENABLE": "1",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "1000",
    "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1),
}

for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)

for _name in ("pypdf", "trafilatura", "htmldate", "readability"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)  # what is broken in a document stands in the ledger
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns that it could not fetch kernels from the hub
