"""Writing to a disk that may be full, read-only or gone: whole or not at all, and refusals in words."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sonneteer.errors import MachineError

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
IN_THE_WAY = (errno.ENOTDIR, errno.EEXIST, errno.EISDIR)


def write_whole(target: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a crash or on a full disk."""
    # Not tempfile: its files are readable by their owner alone, and a workspace may belong to a team.
    partial = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.partial")
    with refusals(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Say in words what the disk refused. Raises MachineError."""
    try:
        yield
    except MachineError:
        raise
    except OSError as problem:
        raise MachineError(_in_words(problem, path)) from problem


def full(path: Path) -> str:
    """What to say of a full disk."""
    return f"The disk that holds {path} is full. Free some space and give the same command again: it goes on."


def _in_words(problem: OSError, path: Path) -> str:
    if problem.errno in FULL:
        return full(path)
    if problem.errno in FORBIDDEN:
        return f"{path} may not be written ({problem.strerror}). Choose another folder for the workspace."
    if problem.errno in IN_THE_WAY:
        return f"{path} cannot be made: a file of this name stands in the way. Choose another folder for the workspace."
    return f"{path} cannot be used: {problem.strerror or problem}. Check the disk, then give the same command again."
