"""The errors of Citadelle.

::

    CitadelleError                  everything below; its message is one sentence for a person
    ├── ConfigurationError          a setting is unknown, out of bounds or contradicts another
    ├── NothingToIndex              no source file is there, or none can be read
    ├── UnreadableDocument          a source file cannot be read; the others still can
    ├── EncoderError                the encoder's weights are missing, damaged or do not load
    ├── RerankerError               the cross-encoder of the second stage does not load
    ├── ReaderError                 the reader's weights are missing, damaged or do not load
    ├── ModelError                  the language model cannot be opened, or does not answer
    │   └── ModelSlow               it does not answer in time
    ├── IndexUnusable               the index cannot be used as it is
    │   ├── IndexMissing            there is none yet
    │   ├── IndexMismatch           it was made with another encoder or chunking
    │   ├── IndexBusy               another process is writing it
    │   ├── IndexDamaged            its files are incomplete
    │   ├── IndexLoss               most of its documents would leave it
    │   └── IndexUnreachable        the Chroma server that holds it does not answer
    ├── DocumentNotFound            no document has this identifier
    ├── InvalidQuestion             the question is empty or too long
    ├── InvalidFilter               a filter is malformed
    ├── LibraryError                the files of the documents cannot be changed as asked
    ├── FeedbackError               the feedback cannot be read or kept, or is malformed
    ├── HistoryError                the conversations cannot be read or kept
    └── DatasetError                an evaluation file is malformed

The message says what happened, to which file or setting, and what to do. It is English, and
keeps its template and values, so that the page can say it in another language.
Errors of libraries are translated where that library is called.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "CitadelleError",
    "ConfigurationError",
    "DatasetError",
    "DocumentNotFound",
    "EncoderError",
    "FeedbackError",
    "HistoryError",
    "IndexBusy",
    "IndexDamaged",
    "IndexLoss",
    "IndexMismatch",
    "IndexMissing",
    "IndexUnreachable",
    "IndexUnusable",
    "InvalidFilter",
    "InvalidQuestion",
    "LibraryError",
    "Message",
    "ModelError",
    "ModelSlow",
    "NothingToIndex",
    "ReaderError",
    "RerankerError",
    "UnreadableDocument",
]


class Message(str):
    """A text in English for a person, made of a template and the values of its fields.

    The template is written out where the message is made, because catalogues of other
    languages name it so. A value may be a message too. Without values the template is the
    text, braces and all.
    """

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> Message:
        message = super().__new__(cls, template.format(**values) if values else template)
        message.template = template
        message.values = values
        return message


class CitadelleError(Exception):
    """Report a problem that a person can act on, in one sentence: a template and its values."""

    def __init__(self, template: str, /, **values: Any) -> None:
        self.message = Message(template, **values)
        super().__init__(self.message)


class ConfigurationError(CitadelleError):
    """Report a setting that is unknown, out of bounds or contradictory."""


class NothingToIndex(CitadelleError):
    """Report that no source file is there, or that none can be read."""


class UnreadableDocument(CitadelleError):
    """Report a source file that cannot be read; `reason` completes "skipped: "."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__("{path}: {reason}", path=path, reason=reason)
        self.path = path
        self.reason = reason


class EncoderError(CitadelleError):
    """Report weights that are missing, damaged or do not load."""


class RerankerError(CitadelleError):
    """Report that the cross-encoder of the second stage does not load."""


class ReaderError(CitadelleError):
    """Report that the weights of the reader, or of what checks sentences, cannot be had."""


class ModelError(CitadelleError):
    """Report that the language model cannot be opened, or does not answer."""


class ModelSlow(ModelError):
    """Report that the language model does not answer in time."""


class IndexUnusable(CitadelleError):
    """Report an index that cannot be used as it is."""


class IndexMissing(IndexUnusable):
    """Report that no index has been built yet."""


class IndexMismatch(IndexUnusable):
    """Report an index made with another encoder or chunking."""


class IndexBusy(IndexUnusable):
    """Report that another process is writing the index."""


class IndexDamaged(IndexUnusable):
    """Report an index whose files are incomplete."""


class IndexLoss(IndexUnusable):
    """Report that most documents would leave the index, which nobody asked for in words."""


class IndexUnreachable(IndexUnusable):
    """Report a Chroma server that does not answer, or not as one."""


class DocumentNotFound(CitadelleError):
    """Report an identifier that no document has."""


class InvalidQuestion(CitadelleError):
    """Report a question that is empty or too long."""


class InvalidFilter(CitadelleError):
    """Report a filter that is malformed."""


class LibraryError(CitadelleError):
    """Report files of the documents that cannot be changed as asked."""


class FeedbackError(CitadelleError):
    """Report feedback that cannot be read or kept, or that is malformed."""


class HistoryError(CitadelleError):
    """Report conversations that cannot be read or kept."""


class DatasetError(CitadelleError):
    """Report an evaluation file that is malformed."""
