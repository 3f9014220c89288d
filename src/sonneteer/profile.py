"""What this machine is, and what of it is used."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import psutil

from sonneteer.records import Machine

SOFTWARE = ("sonneteer", "torch", "transformers", "peft", "tokenizers", "numpy")
BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}
"""Of /proc/cpuinfo: units that multiply bfloat16 on Intel, AMD and ARM."""
CGROUP = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")


class GraphicsCard(NamedTuple):
    """An accelerator, as its driver names it."""

    name: str
    memory_gb: float


def machine() -> Machine:
    """Where this process runs. Knows without loading any of the libraries that it names."""
    cards = graphics_cards()
    is_used = bool(cards) and not (version("torch") or "+cpu").endswith("+cpu")
    return Machine(
        processor=processor(),
        cores=cores(),
        memory_gb=round(memory_gb(), 1),
        device=cards[0].name if is_used else "cpu",
        software={"python": platform.python_version()} | versions(SOFTWARE),
    )


def processor() -> str:
    """The processor's name."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use: a container's or a scheduler's share, where there is one."""
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _cgroup("cpu.max").split()
    if len(quota) == 2 and quota[0] != "max":
        allowed = min(allowed, round(int(quota[0]) / int(quota[1])))
    return max(1, allowed)


def memory_gb() -> float:
    """Memory that this process may use, in GB: the machine's, or a container's limit."""
    total = psutil.virtual_memory().total
    limit = _cgroup("memory.max")
    return (min(total, int(limit)) if limit.isdigit() else total) / 1e9


def free_memory_gb() -> float:
    """Memory that is not in use now, in GB."""
    return min(float(psutil.virtual_memory().available) / 1e9, memory_gb())


def free_disk_gb(folder: Path) -> float:
    """Free space on the disk that holds `folder`, or would hold it, in GB."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return float(psutil.disk_usage(str(existing)).free) / 1e9


def peak_memory_gb() -> float:
    """Most memory that this process ever held, in GB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 1e9
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def has_bfloat16_units() -> bool:
    """Whether the processor multiplies bfloat16 numbers itself. Where it does not, bfloat16 is slower than float32."""
    flags = [line.partition(":")[2].split() for line in _cpuinfo() if line.lower().startswith(("flags", "features"))]
    return bool(flags) and not BFLOAT16_FLAGS.isdisjoint(flags[0])


def graphics_cards() -> list[GraphicsCard]:
    """NVIDIA's cards, by their driver's own tool. Empty where there is no driver."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.rpartition(",") for line in said.splitlines()]
    return [GraphicsCard(name.strip(), float(mib) * 2**20 / 1e9) for name, _, mib in rows if mib.strip().isdigit()]


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Installed versions, of the packages that are installed."""
    found = {name: version(name) for name in packages}
    return {name: number for name, number in found.items() if number is not None}


def version(package: str) -> str | None:
    """The installed version of a package, without loading it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpuinfo() -> list[str]:
    try:
        return CPUINFO.read_text().splitlines()
    except OSError:  # no Linux
        return []


def _cgroup(name: str) -> str:
    try:
        return (CGROUP / name).read_text().strip()
    except OSError:  # no container limits that can be read
        return ""
