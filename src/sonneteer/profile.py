"""What this machine is, and what of it is used."""

from __future__ import annotations

import resource


def peak_memory_gb() -> float:
    """Most memory that this process ever held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
