"""The data room: from raw rows to frozen splits, with an account of every row."""

from sonneteer.data.bound import bound
from sonneteer.data.card import Card, write_card
from sonneteer.data.changes import Change, changes
from sonneteer.data.check import Proof, check
from sonneteer.data.forget import Forgotten, forget
from sonneteer.data.freeze import read_ledger, read_split
from sonneteer.data.prepare import prepare
from sonneteer.data.refusal import RefusedError
from sonneteer.data.share import share_of
from sonneteer.data.synthesis import Synthesized, refuse_without_terms, synthesize

__all__ = [
    "Card",
    "Change",
    "Forgotten",
    "Proof",
    "RefusedError",
    "Synthesized",
    "bound",
    "changes",
    "check",
    "forget",
    "prepare",
    "read_ledger",
    "read_split",
    "refuse_without_terms",
    "share_of",
    "synthesize",
    "write_card",
]
