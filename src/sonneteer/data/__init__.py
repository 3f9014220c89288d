"""The data room: from raw rows to frozen splits, with an account of every row."""

from sonneteer.data.prepare import prepare, read_ledger, read_split

__all__ = ["prepare", "read_ledger", "read_split"]
