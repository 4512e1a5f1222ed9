"""Turn answers and conversations into text that people take elsewhere.

To copy an answer: `answer_text`, `answer_markdown`, `answer_memo`. For programs, under an
answer: `answer_footnotes`. To download a conversation:
`conversation_markdown`, `conversation_html`, `conversation_json`. Text of a person or of a
document stays text in each: what would be markup there is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rag.history import KeptConversation, KeptExchange
from rag.lexical import fold
from rag.types import Answer, Citation, Document
from rag.writing import notice_in
from ui.addresses import source_address
from ui.filters import Filter, filter_labels
from ui.rendering.answers import confidence_of
from ui.texts import InterfaceLanguage, Texts

__all__ = [
    "Origin",
    "answer_footnotes",
    "answer_markdown",
    "answer_memo",
    "answer_text",
    "conversation_html",
    "conversation_json",
    "conversation_markdown",
    "file_name",
]

_FORMAT: Final = "citadelle-conversation-1"
_ITEM: Final = re.compile(r"\s*[-•*]\s+")
_SUPERSCRIPTS: Final = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
# What begins markup wherever it stands; a colon that begins a directive or an address; what
# makes a link of an address that is written out; what makes a list, a title or a rule of a line.
_MARKS: Final = re.compile(r"[\\`*_{}\[\]<>#|~$!&@^]|:(?=\S)|(?<=[wW])\.")
_LINE_MARKS: Final = re.compile(r"^(\d{1,9})([.)])|^([-+=])")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where what is exported comes from: the page's address, the day, the documents quoted.

    A quote is shown as it reads where its document is the one that was quoted, and
    otherwise as it stood in the source, with its marks.
    """

    base_url: str
    day: date
    documents: Mapping[str, Document]

    def quote(self, citation: Citation) -> str:
        document = self.documents.get(citation.doc_id)
        if document is None or document.content_hash != citation.content_hash:
            return citation.quote
        start, end = document.offsets.to_plain(citation.start, citation.end)
        return document.plain[start:end]

    def language(self, citation: Citation) -> str:
        """Return the code of the language of a quote, empty where it is not known."""
        document = self.documents.get(citation.doc_id)
        return "" if document is None or document.language == "unknown" else document.language

    def address(self, citation: Citation) -> str:
        return source_address(self.base_url, citation)


# --- One answer, to copy ------------------------------------------------------------------


def answer_text(answer: Answer, origin: Origin, texts: Texts) -> str:
    """Return an answer as plain text, and under it what each of its markers stands for."""
    lines = [answer.text.strip()]
    if answer.mode == "written":
        lines += ["", _author(answer, texts)]
    if answer.citations:
        lines += ["", _label(texts.export_sources, texts)]
    for citation in answer.citations:
        quote = texts.quotation.format(quote=_one_line(origin.quote(citation)))
        lines += [
            f"[{citation.key}] {quote}",
            f"    {_source(citation)}",
            f"    {origin.address(citation)}",
        ]
    return "\n".join(lines) + "\n"


def answer_markdown(answer: Answer, origin: Origin, texts: Texts) -> str:
    """Return an answer as Markdown, with its quotes as block quotes."""
    blocks = [_prose(answer.text)]
    if answer.mode == "written":
        blocks.append(f"*{_escaped(_author(answer, texts))}*")
    blocks += [_block_quote(citation, origin, texts) for citation in answer.citations]
    return "\n\n".join(blocks) + "\n"


def answer_memo(answer: Answer, origin: Origin, texts: Texts) -> str:
    """Return what an answer quotes, each quote with a footnote that says where it stands.

    What rests on no quote is given as it was said.
    """
    if not answer.citations:
        return answer.text.strip() + "\n"
    consulted = texts.export_consulted.format(date=texts.date(origin.day))
    quotes, notes = [], []
    for number, citation in enumerate(answer.citations, start=1):
        sign = str(number).translate(_SUPERSCRIPTS)
        quote = texts.quotation.format(quote=_one_line(origin.quote(citation)))
        quotes.append(f"{quote}{sign}")
        notes.append(f"{sign} {_source(citation)}, {origin.address(citation)}, {consulted}.")
    return "\n\n".join(quotes) + "\n\n" + "\n".join(notes) + "\n"


def answer_footnotes(answer: Answer, origin: Origin, texts: Texts) -> tuple[str, ...]:
    """Return for each marker of an answer, on one line, its quote and where that stands."""
    return tuple(
        f"[{citation.key}] {texts.quotation.format(quote=_one_line(origin.quote(citation)))}, "
        f"{_source(citation)}, {origin.address(citation)}"
        for citation in answer.citations
    )


# --- A conversation, to download ----------------------------------------------------------


def conversation_markdown(
    conversation: KeptConversation,
    exchanges: Sequence[KeptExchange],
    origin: Origin,
    texts: Texts,
) -> str:
    """Return a conversation as Markdown."""
    blocks = [f"# {_escaped(_one_line(conversation.title))}", f"*{_made(origin, texts)}*"]
    for exchange in exchanges:
        question = _one_line(exchange.question)
        blocks.append(f"## {_escaped(question)}")
        if exchange.filters:
            limits = ", ".join(_limits(exchange, texts))
            blocks.append(f"*{_escaped(_label(texts.filters_in_force, texts))} {_escaped(limits)}*")
        answer = exchange.answer
        if answer is None:
            blocks.append(f"*{_escaped(_one_line(_unanswered(exchange, texts)))}*")
            continue
        if answer.understood:
            blocks.append(f"*{_escaped(_understood(answer, texts))}*")
        if answer.notice:
            blocks.append(f"*{_escaped(_one_line(notice_in(answer.notice, texts.code)))}*")
        blocks.append(_prose(answer.text))
        if answer.mode == "written":
            blocks.append(f"*{_escaped(_author(answer, texts))}*")
        blocks += [f"- {_escaped(_one_line(hint))}" for hint in exchange.hints]
        if answer.citations:
            blocks.append(f"*{confidence_of(answer, texts)[1]}*")
        blocks += [_block_quote(citation, origin, texts) for citation in answer.citations]
    return "\n\n".join(blocks) + "\n"


def conversation_html(
    conversation: KeptConversation,
    exchanges: Sequence[KeptExchange],
    origin: Origin,
    texts: Texts,
    language: InterfaceLanguage,
) -> str:
    """Return a conversation as a page that needs nothing else and prints well."""
    environment = _environment()
    style = (Path(__file__).parent / "templates" / "conversation.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("conversation.html").render(
        conversation=conversation,
        exchanges=exchanges,
        origin=origin,
        texts=texts,
        language=language,
        made=_made(origin, texts),
        author=_author,
        confidence_of=confidence_of,
        notice_in=notice_in,
        limits=_limits,
        lines=_lines,
        path=_path,
        unanswered=_unanswered,
        understood=_understood,
        # A file of this package, not text of a conversation. Its hash allows it and nothing else.
        style=Markup(style),  # noqa: S704
        style_hash=digest,
    )


def conversation_json(
    conversation: KeptConversation, exchanges: Sequence[KeptExchange], origin: Origin
) -> str:
    """Return all that is kept of a conversation as JSON."""
    return json.dumps(
        {
            "format": _FORMAT,
            "exported": origin.day.isoformat(),
            "id": conversation.id,
            "title": conversation.title,
            "created": conversation.created,
            "updated": conversation.updated,
            "exchanges": [_record(exchange, origin) for exchange in exchanges],
        },
        ensure_ascii=False,
        indent=2,
    )


def file_name(conversation: KeptConversation, suffix: str) -> str:
    """Return a name for the file of a conversation that every system takes."""
    words = re.sub(r"[^a-z0-9]+", "-", fold(conversation.title)).strip("-")[:50].rstrip("-")
    return f"citadelle-{conversation.created[:10]}-{words or conversation.id}.{suffix}"


# --- Parts --------------------------------------------------------------------------------


def _record(exchange: KeptExchange, origin: Origin) -> dict[str, Any]:
    answer = exchange.answer
    record = answer.to_dict() if answer is not None else None
    if answer is not None and record is not None:
        for shown, citation in zip(record["citations"], answer.citations, strict=True):
            shown["content_hash"] = citation.content_hash
            shown["address"] = origin.address(citation)
    return {
        "id": exchange.id,
        "created": exchange.created,
        "settled": exchange.settled,
        "question": exchange.question,
        "history": list(exchange.history),
        "alone": exchange.alone,
        "filters": {name: value for name, value, _ in exchange.filters},
        "answer": record,
        "error": exchange.error,
        "hints": list(exchange.hints),
        "corpus_hash": exchange.corpus_hash,
        "version": exchange.version,
    }


def _made(origin: Origin, texts: Texts) -> str:
    return texts.export_made.format(date=texts.date(origin.day))


def _unanswered(exchange: KeptExchange, texts: Texts) -> str:
    if exchange.unreadable:
        return texts.history_unreadable
    return exchange.error or texts.export_pending


def _understood(answer: Answer, texts: Texts) -> str:
    return texts.understood.format(question=_one_line(answer.understood))


def _author(answer: Answer, texts: Texts) -> str:
    return f"{texts.written_by.format(model=_one_line(answer.model))}."


def _limits(exchange: KeptExchange, texts: Texts) -> tuple[str, ...]:
    return filter_labels(tuple(Filter(*entry) for entry in exchange.filters), texts)


def _label(name: str, texts: Texts) -> str:
    """Return a name with its colon, written as the language does."""
    return texts.filter_label.format(name=name, value="").rstrip()


def _path(citation: Citation) -> tuple[str, ...]:
    """Return the title of the document and the headings that the quote stands under."""
    headings = (name for name in citation.heading_path if name != citation.title)
    return tuple(_one_line(name) for name in (citation.title, *headings))


def _source(citation: Citation) -> str:
    return f"{' › '.join(_path(citation))} ({citation.doc_id})"


def _one_line(text: str) -> str:
    # Spaces that do not break are kept: they belong to the typography.
    return re.sub(r"[ \t\r\n\f\v]+", " ", text).strip()


def _lines(text: str) -> list[tuple[bool, str]]:
    """Return the lines of an answer, and of each whether it is an item of a list."""
    lines = []
    for line in text.split("\n"):
        item = _ITEM.match(line)
        content = line[item.end() :] if item else line
        if content.strip():
            lines.append((item is not None, content.strip()))
    return lines


def _prose(text: str) -> str:
    """Return the text of an answer as Markdown: paragraphs and lists."""
    parts: list[str] = []
    listing = False
    for item, content in _lines(text):
        if parts:
            parts.append("\n" if item and listing else "\n\n")
        parts.append(f"- {_escaped(content)}" if item else _escaped(content))
        listing = item
    return "".join(parts)


def _block_quote(citation: Citation, origin: Origin, texts: Texts) -> str:
    lines = [line.strip() for line in origin.quote(citation).split("\n")]
    # Two spaces at the end keep the lines of a list or of a table apart.
    quote = "  \n".join(f"> {_escaped(line)}" for line in lines if line)
    source = " › ".join(map(_escaped, _path(citation)))
    link = f"[{texts.export_open}](<{origin.address(citation)}>)"
    return f"{quote}\n>\n> \\[{citation.key}\\] {source} ({_escaped(citation.doc_id)}) · {link}"


def _escaped(text: str) -> str:
    """Return a line of text as Markdown that shows it as it is."""
    text = _MARKS.sub(lambda found: "\\" + found[0], text)
    return _LINE_MARKS.sub(lambda found: f"{found[1] or ''}\\{found[2] or found[3]}", text)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
