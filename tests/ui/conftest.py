"""The page without a browser, over an engine that a person can hold in their head."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from rag.config import Settings
from rag.errors import DocumentNotFound, IndexDamaged, InvalidFilter
from rag.indexing import IndexReport
from rag.library import Library
from rag.logs import request_id
from rag.retrieval import facets
from rag.types import (
    Answer,
    Block,
    Chunk,
    Citation,
    Document,
    Facet,
    OffsetMap,
    Passage,
    Ranking,
    ScoredChunk,
    Segment,
    Skipped,
    Source,
    Turn,
)
from rag.writing import Event
from tests.conftest import ROOT
from ui.engine import FoundCallback, ProgressCallback
from ui.scripts import SCRIPTS

NOTE = "note.md"
HOSTILE = (
    '<script>alert(1)</script> <img src=x onerror="alert(2)"> ![x](http://example.org/x.png) '
    '[a](javascript:alert(3)) $x^2$ :material/home: :red[rouge] </mark></section> & "guillemets"'
)
# All that may stand around the page's scripts: an anchor and an occasion, a language.
OWN_SCRIPT = re.compile(
    r"<div class=\"cit-unseen\"(?: role=\"alert\")?>[\w .’]*</div>"
    r"<script(?: data-anchor=\"[a-z\d-]+\" data-occasion=\"[\w ]+\""
    r"| data-language=\"(?:fr|en|nl)\")>"
    rf"(?:{'|'.join(map(re.escape, SCRIPTS))})</script>"
)

# Canonical text with Markdown marks; the plain text is the same without "# " and "**".
CANONICAL = "# Le fort\n\nLe fort date de **1872**. Il garde la Meuse.\n\nFin."
PLAIN = "Le fort\n\nLe fort date de 1872. Il garde la Meuse.\n\nFin."
OFFSETS = OffsetMap(
    (
        Segment(0, 7, 2, 9),  # Le fort
        Segment(9, 25, 11, 27),  # "Le fort date de "
        Segment(25, 29, 29, 33),  # 1872
        Segment(29, 49, 35, 55),  # ". Il garde la Meuse."
        Segment(51, 55, 57, 61),  # Fin.
    )
)


def document(text: str = "", doc_id: str = NOTE) -> Document:
    """Return the note of the fort, or a document that is one paragraph of `text`."""
    if text:
        return Document(
            doc_id=doc_id,
            title=text,
            text=text,
            plain=text,
            metadata={"tags": (text,), "aliases": text},
            language="fr",
            content_hash="1",
            blocks=(Block("paragraph", 0, len(text)),),
            offsets=OffsetMap((Segment(0, len(text), 0, len(text)),)),
        )
    return Document(
        doc_id=doc_id,
        title="Le fort",
        text=CANONICAL,
        plain=PLAIN,
        metadata={"tags": ("histoire", "fortifications"), "aliases": ("Le vieux fort",)},
        language="fr",
        content_hash="0",
        blocks=(
            Block("heading", 0, 7, 1),
            Block("paragraph", 9, 49),
            Block("paragraph", 51, 55),
        ),
        offsets=OFFSETS,
    )


def quoting(source: Document, quote: str, question: str = "?", key: str = "1") -> Answer:
    """Return an answer that quotes `quote`, from a passage which is the whole document."""
    start = source.text.index(quote)
    return Answer(
        question=question,
        language="fr",
        text=f"D'après le document :\n{quote} [{key}]",
        short_answer="1872" if "1872" in quote else "",
        citations=(
            Citation(
                key,
                source.doc_id,
                source.content_hash,
                start,
                start + len(quote),
                quote,
                source.title,
                ("Le fort", "Histoire"),
            ),
        ),
        passages=(Passage(source.doc_id, 0, len(source.text), source.text, 1.0, True),),
        abstained=False,
        confidence=0.9,
        mode="extractive",
        timings={"total_ms": 412.0},
    )


# Of the two questions the note answers one; the fake engine quotes the same for both.
GOLD = """\
{"id": "f1", "lang": "fr", "question": "Que garde le fort ?", "answers": ["la Meuse"], \
"evidence": ["Il garde la Meuse."], "doc": "note", "type": "fact", "answerable": true}
{"id": "f2", "lang": "fr", "question": "Quel temps fait-il ?", "answers": [], \
"evidence": [], "doc": "", "type": "unanswerable", "answerable": false}
"""


@dataclass
class FakeEngine:
    """Quotes the same sentence whatever is asked, and remembers what it was asked."""

    documents: dict[str, Document] = field(default_factory=lambda: {NOTE: document()})
    gives: Answer | Exception | None = None
    skipped: tuple[Skipped, ...] = ()
    settings: Settings = field(default_factory=Settings)
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    filtered: list[Mapping[str, str] | None] = field(default_factory=list)
    refreshed: int = 0
    damage: str = ""
    # What a language model does, for each question that it gets.
    events: Callable[[Callable[[], bool]], Iterator[Event]] | None = None
    streamed: list[tuple[str, list[str]]] = field(default_factory=list)
    # The earlier questions that it must not get.
    private: list[str] = field(default_factory=list)
    manifest: Mapping[str, Any] = field(default_factory=lambda: {"corpus_hash": "c0"})
    reader: str = "fake"
    stale: bool = False
    indexes: Exception | None = None

    def ask(
        self,
        question: str,
        history: Sequence[str | Turn] = (),
        filters: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
        *,
        written: bool = True,
        found: FoundCallback | None = None,
    ) -> Answer:
        # Where there is a model, what is asked here is for quotes.
        assert not (written and self.settings.llm)
        if progress is not None:
            progress("search", 0, 0)
            progress("read", 0, 8)
        if found is not None:
            found((self.search(question),))
        self.asked.append((question, _questions(history)))
        self.filtered.append(filters)
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives or quoting(self.documents[NOTE], "Il garde la Meuse.", question)

    def stream(
        self,
        question: str,
        history: Sequence[str | Turn] = (),
        filters: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
        *,
        stopped: Callable[[], bool] | None = None,
        found: FoundCallback | None = None,
    ) -> Iterator[Event]:
        assert self.events is not None and progress is not None and stopped is not None
        progress("search", 0, 0)
        progress("read", 0, 8)
        if found is not None:
            found((self.search(question),))
        progress("write", 0, 8)
        self.streamed.append((question, _questions(history)))
        self.private += [turn.text for turn in history if isinstance(turn, Turn) and turn.private]
        self.filtered.append(filters)
        yield from self.events(stopped)

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def answer(
        self,
        question: str,
        ranking: Ranking,
        history: Sequence[str] = (),
        abstain_below: float | None = None,
    ) -> Answer:
        return quoting(self.documents[NOTE], "Il garde la Meuse.", question)

    def search(
        self,
        question: str,
        k: int = 10,
        history: Sequence[str] = (),
        filters: Mapping[str, str] | None = None,
    ) -> Ranking:
        """Find the whole note, as one passage."""
        text = self.documents[NOTE].text
        chunk = Chunk(f"{NOTE}:0", NOTE, 0, len(text), text, (), {})
        return Ranking(question, (ScoredChunk(chunk, 1.0, 1),))

    def hints(self, answer: Answer, filters: Mapping[str, str] | None = None) -> tuple[str, ...]:
        return (f"Sans {', '.join(filters)}." if filters else "Dites-le <b>autrement</b>.",)

    def document(self, doc_id: str) -> Document:
        try:
            return self.documents[doc_id]
        except KeyError as error:
            raise DocumentNotFound(f"No document is called {doc_id}.") from error

    def chunks(self, doc_id: str) -> tuple[Chunk, ...]:
        """Cut a document in two halves."""
        text = self.document(doc_id).text
        half = len(text) // 2
        return tuple(
            Chunk(f"{doc_id}:{a}-{b}", doc_id, a, b, text[a:b], ("Le fort", "Histoire"), {})
            for a, b in ((0, half), (half, len(text)))
        )

    def sources(self, filters: Mapping[str, str] | None = None) -> tuple[Source, ...]:
        """List the documents; of filters, "doc", "language" and "tag" are obeyed."""
        found = tuple(
            Source(item.doc_id, item.title, item.language, item.metadata, 2, len(item.text))
            for item in self.documents.values()
            if all(
                value in (item.doc_id, item.language, *item.metadata.get("tags", ()))
                for value in (filters or {}).values()
            )
        )
        if filters and not found:
            raise InvalidFilter("No document matches.")
        return found

    @property
    def library(self) -> Library:
        return Library(self.settings)

    def is_stale(self) -> bool:
        return self.stale

    def index(
        self,
        paths: Sequence[Path] | None = None,
        progress: ProgressCallback | None = None,
        *,
        may_empty: bool = False,
    ) -> IndexReport:
        """Say that all of the documents are there, or raise what was asked for."""
        if isinstance(self.indexes, Exception) and not may_empty:
            raise self.indexes
        if may_empty:
            self.documents = {}
        return IndexReport((), (), (), (), tuple(self.documents), (), chunks=2)

    def facets(self) -> tuple[Facet, ...]:
        return facets(self.documents)

    def refresh(self) -> bool:
        self.refreshed += 1
        if self.damage:
            raise IndexDamaged(self.damage)
        return False


def _questions(history: Sequence[str | Turn]) -> list[str]:
    return [turn if isinstance(turn, str) else turn.text for turn in history]


@dataclass
class SlowEngine(FakeEngine):
    """Indexes only when it is let."""

    let: threading.Event = field(default_factory=threading.Event)

    def index(
        self,
        paths: Sequence[Path] | None = None,
        progress: ProgressCallback | None = None,
        *,
        may_empty: bool = False,
    ) -> IndexReport:
        assert progress is not None
        progress("embed", 3, 12)
        assert self.let.wait(20.0)
        return super().index(paths, progress, may_empty=may_empty)


@pytest.fixture
def numbers() -> Iterator[list[str]]:
    """Return the numbers of the requests on which a line was logged."""
    seen: list[str] = []

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(request_id())

    noting = Noting()
    logging.getLogger("ui").addHandler(noting)
    yield seen
    logging.getLogger("ui").removeHandler(noting)


Start = Callable[..., AppTest]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    """Return a function that opens the page on an engine, or on a failure to open one.

    What the page keeps goes below `tmp_path`.
    """
    st.cache_resource.clear()
    st.cache_data.clear()
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("CITADELLE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CITADELLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CITADELLE_CORPUS", str(tmp_path / "corpus"))
    monkeypatch.setenv("CITADELLE_INDEX", str(tmp_path / "index"))

    def open_page(engine: FakeEngine | Exception) -> AppTest:
        def opener(progress: ProgressCallback) -> FakeEngine:
            progress("embed", 1, 2)
            if isinstance(engine, Exception):
                raise engine
            return engine

        monkeypatch.setattr("ui.engine.open_engine", opener)
        return AppTest.from_file(str(ROOT / "app.py"), default_timeout=20).run()

    return open_page


def shown(page: AppTest) -> str:
    """Return all the HTML of the page, without its style sheet and its own script."""
    assert not page.exception
    bodies = []
    for element in page.html:
        if element.proto.unsafe_allow_javascript:
            assert OWN_SCRIPT.fullmatch(element.value)
        else:
            bodies.append(element.value)
    return "\n".join(body for body in bodies if not body.startswith("<style>"))


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.data: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name == "src"]
        given = dict(attrs)
        link = given.get("href") or "#"
        # To a place in a document, or out of the page in a window of its own.
        if not link.startswith(("#", "?doc=")):
            assert re.match("https?://", link)
            assert (given["target"], given["rel"]) == ("_blank", "noopener noreferrer")

    def handle_data(self, data: str) -> None:
        self.data.append(data)


def read(markup: str) -> tuple[str, set[str]]:
    """Return the text a browser would show, and the names of the tags around it."""
    parser = _Text()
    parser.feed(markup)
    parser.close()
    return "".join(parser.data), parser.tags
