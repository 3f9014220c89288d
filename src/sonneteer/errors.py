"""Everything Sonneteer can complain about, one leaf for each thing that a person does about it."""

from __future__ import annotations


class SonneteerError(Exception):
    """Something a person has to know. Its text says what, where, with which value, and what to do."""


class RecipeError(SonneteerError, ValueError):
    """Change a setting. Carries every problem of the recipe at once."""

    def __init__(self, problems: str | list[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class DataError(SonneteerError, ValueError):
    """Repair or replace the data."""


class ModelError(SonneteerError, ValueError):
    """Choose another base model, or repair the one at hand."""


class MissingError(SonneteerError, LookupError):
    """Name something that exists: there is no data set, run, report or model of this name."""


class LockedError(SonneteerError, PermissionError):
    """Give the right passphrase."""


class TakenError(SonneteerError, FileExistsError):
    """Choose another place: something of the user's stands here, and is never overwritten."""


class BusyError(SonneteerError, RuntimeError):
    """Wait, or stop the other process: somebody else is writing here."""


class MachineError(SonneteerError, OSError):
    """Give the machine what it lacks: disk, memory, a free port."""


class ExtraError(SonneteerError, ImportError):
    """Install an optional part of Sonneteer."""


class RequestError(SonneteerError, ValueError):
    """Send another request: this one asks for what cannot be done."""


class RefusalError(RequestError):
    """Ask something else: the model, or the server before it, declines just this."""
