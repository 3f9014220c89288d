"""What the processor or the graphics card that holds a network offers, and what has been used of it."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Literal, TypeVar

import torch

from sonneteer import profile

T = TypeVar("T")
LARGE_PAGE = 2 * 1024**2
MADV_COLLAPSE = 25  # Linux 6.1; refused by older ones
Precision = Literal["auto", "bfloat16", "float32"]


def is_short(precision: Precision, device: torch.device) -> bool:
    """Whether frozen weights and products of matrices are bfloat16."""
    is_fast = device.type == "cuda" or profile.has_bfloat16_units()
    return precision == "bfloat16" or (precision == "auto" and is_fast)


def available_gb(device: torch.device) -> float:
    """Memory that a training may take: of the card what nobody else holds, of the machine all that there is."""
    if device.type != "cuda":
        return profile.memory_gb()
    free, _ = torch.cuda.mem_get_info(device)
    return float(free + torch.cuda.memory_reserved(device)) / 1e9


def forget_peak(device: torch.device) -> None:
    """Measure the card's peak from now on. A process cannot forget its own."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_gb(device: torch.device) -> float:
    """Most memory that was held at a time: of the card by PyTorch, or by this process."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved(device)) / 1e9
    return profile.peak_memory_gb()


def leave_the_card() -> None:
    """Give back what PyTorch keeps of the card's memory for later, so that another process can take it."""
    gc.collect()
    torch.cuda.empty_cache()  # nothing, where no card is used


def share_cores(processes: int) -> None:
    """Let this process use its share of the cores, where so many work at once."""
    torch.set_num_threads(max(1, torch.get_num_threads() // processes))


def apart(work: Callable[[], T]) -> T:
    """The result of work that is done in a thread of its own, which ends.

    For each thread that has computed OpenMP keeps helpers. Where these are more than the cores, helpers fall asleep
    after each operation, and every step of an engine has to wake them a hundred times.
    """
    told: Future[T] = Future()

    def do() -> None:
        try:
            told.set_result(work())
        except BaseException as problem:
            told.set_exception(problem)

    threading.Thread(target=do, daemon=True).start()
    return told.result()


def use_large_pages(address: int, size: int) -> None:
    """Have the system hold this memory in pages of 2 MiB, where it can.

    A step of an engine reads all weights, and in small pages it spends time on finding them. Raises
    nothing: what is no memory of ours, or has no large page free, stays as it is.
    """
    if sys.platform != "linux":
        return
    system = ctypes.CDLL(None)
    first = address // LARGE_PAGE * LARGE_PAGE  # with its neighbours, which lie in the same heap
    for page in range(first, address + size, LARGE_PAGE):
        system.madvise(ctypes.c_void_p(page), ctypes.c_size_t(LARGE_PAGE), MADV_COLLAPSE)


def matrix_speed(
    device: torch.device,
    is_short: bool = False,
    seconds: float = 0.2,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """10^12 operations a second that are reached in a plain product of matrices."""
    size = 4096 if device.type == "cuda" else 768  # a card is busy with large ones only
    one = torch.ones(size, size, device=device, dtype=torch.bfloat16 if is_short else torch.float32)
    _ = (one @ one)[0, 0].item()
    begun, products = clock(), 0
    while clock() - begun < seconds:
        _ = (one @ one)[0, 0].item()
        products += 1
    return 2 * size**3 * products / (clock() - begun) / 1e12
