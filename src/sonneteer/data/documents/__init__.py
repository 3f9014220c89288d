"""Documents become passages: PDF, Word, HTML, Markdown, text and e-mail, cut where a reader would pause."""

from sonneteer.data.documents.passages import passages_of
from sonneteer.data.documents.read import DOCUMENTS

__all__ = ["DOCUMENTS", "passages_of"]
