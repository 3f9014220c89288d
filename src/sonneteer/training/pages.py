"""Memory that a step gives back stays with the process, for the next step.

Glibc returns large pieces to the system at once, and every step then pays again for fresh pages: about a twelfth of
its time, as measured on two cores with a model of 135 million weights.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt(3)
LARGEST_PIECE = 32 << 20  # the most that glibc accepts


def keep_pages() -> None:
    """From here on pieces of up to 32 MiB come from, and go back to, the process's own heap. Elsewhere: nothing."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST_PIECE)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
