"""The workspace: a catalogue of all records, files named by their content, and one writer at a time."""

from sonneteer.store.disk import write_whole
from sonneteer.store.keys import KeyRing
from sonneteer.store.query import queried
from sonneteer.store.shelf import Shelf, write_private
from sonneteer.store.workspace import Store

__all__ = ["KeyRing", "Shelf", "Store", "queried", "write_private", "write_whole"]
