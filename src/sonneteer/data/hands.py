"""Work that several processes share: on this machine, or on a cluster through Ray Data. Results come in order.

Which of them does a part changes nothing: each part is done by a plain function of that part alone.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import pickle
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sonneteer.errors import ExtraError, MachineError
from sonneteer.recipe.sections import DataSettings
from sonneteer.workers import end_with_parent

AHEAD = 2
"""So many parts wait for each process: more would fill the memory, fewer would let it wait."""
ON_RAY_AT_ONCE = 64
P = TypeVar("P")
R = TypeVar("R")


class Hands(NamedTuple):
    """Who does the work, and where finished parts are kept until all of it is done."""

    processes: int = 1
    is_ray: bool = False
    kept: Path | None = None

    def spread(self, work: Callable[[P], R], parts: Iterable[P]) -> Iterator[R]:
        """The results of all parts, in their order. Where there is only one part, nobody else is called."""
        first = list(islice(parts := iter(parts), 2))
        if len(first) < 2 or (self.processes < 2 and not self.is_ray):
            yield from map(work, chain(first, parts))
        elif self.is_ray:
            yield from _on_ray(work, chain(first, parts))
        else:
            yield from _by_processes(work, chain(first, parts), self.processes)


def hands_of(data: DataSettings, kept: Path | None = None) -> Hands:
    """As the recipe says: all cores where it says nothing. Only Linux can share what is loaded with new processes."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    processes = cores if data.processes is None else data.processes
    return Hands(processes if sys.platform == "linux" else 1, data.spread == "ray", kept)


_work: Callable[[Any], Any] | None = None


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    end_with_parent()


def _do(part: Any) -> Any:
    assert _work is not None
    return _work(part)


def _by_processes(work: Callable[[P], R], parts: Iterable[P], processes: int) -> Iterator[R]:
    fork = multiprocessing.get_context("fork")  # rules and tokenizers are inherited, and never loaded again
    waiting: deque[Future[R]] = deque()
    with warnings.catch_warnings(), ProcessPoolExecutor(processes, fork, _begin, (work,)) as pool:
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads, of which none is used there
        try:
            for part in parts:
                waiting.append(pool.submit(_do, part))
                if len(waiting) > AHEAD * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as problem:
            raise MachineError(
                "A process that read the data was ended from outside, usually because memory ran out. Give the same "
                "command again, it goes on; with less memory: data.processes 1."
            ) from problem
        finally:
            for future in waiting:
                future.cancel()


def _on_ray(work: Callable[[P], R], parts: Iterable[P]) -> Iterator[R]:
    """So many parts at a time become a data set of Ray, whose workers do them."""
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.data")
    except ImportError as problem:
        raise ExtraError(
            f"data.spread: 'ray' needs the library ray, which does not load here ({problem}). Install it with "
            "pip install 'sonneteer[ray]', or write 'processes'."
        ) from problem
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # how far it is, our own progress says
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars, context.execution_options.preserve_order = False, True

    def done(row: dict[str, Any]) -> dict[str, Any]:
        return {"result": pickle.dumps(work(pickle.loads(row["part"])))}

    parts = iter(parts)
    while some := list(islice(parts, ON_RAY_AT_ONCE)):
        rows = ray.data.from_items([{"part": pickle.dumps(part)} for part in some], override_num_blocks=len(some))
        for row in rows.map(done).iter_rows():
            yield pickle.loads(row["result"])
