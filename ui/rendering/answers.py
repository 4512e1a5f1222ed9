"""Questions, answers, and the passages that they quote, as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final, Literal

from rag.answering import short_answers
from rag.chat_model import host_of
from rag.config import Settings
from rag.types import Answer, Citation, Document
from ui.addresses import source_address
from ui.rendering.documents import blocks_html, blocks_within, lang_attribute, marked_html
from ui.rendering.evidence import Evidence, quoted_document
from ui.rendering.notices import labels_html
from ui.texts import Texts

__all__ = [
    "HIGH_CONFIDENCE",
    "MEDIUM_CONFIDENCE",
    "answer_html",
    "confidence_of",
    "consent_html",
    "evidence_html",
    "filters_html",
    "footer_html",
    "found_html",
    "question_html",
    "understood_html",
    "unsupported_html",
    "written_html",
]

# After a space: a footnote of the document's own, as in "1872[1]", sticks to its word.
_MARKER: Final = re.compile(r"\s\[(\d+)\]")
_ITEM: Final = re.compile(r"[-•*]\s+")
# Words instead of figures: a reader cannot act on 0.83. Low is what barely passed.
HIGH_CONFIDENCE: Final = 0.8
MEDIUM_CONFIDENCE: Final = 0.65
# What is shown of a quote before it is opened; the card below has all of it.
_LONGEST_HINT: Final = 240


def question_html(question: str, anchor: str) -> str:
    """Show a question as it was written, line breaks included."""
    return f'<div class="cit-question" id="{anchor}">{escape(question)}</div>'


def understood_html(question: str, texts: Texts) -> str:
    """Show what a follow-up was taken to ask."""
    shown = texts.understood.format(question=question)
    return f'<p class="cit-help cit-understood">{escape(shown)}</p>'


def filters_html(labels: tuple[str, ...], texts: Texts) -> str:
    """Show what a question is limited to."""
    return labels_html(texts.filters_in_force, labels)


def answer_html(
    answer: Answer, number: int, documents: Mapping[str, Document], texts: Texts
) -> str:
    """Show an answer, its short answer in bold and its markers as links to what they quote.

    `number` is that of the answer in its conversation, 0 where it has none. A marker leads into
    the document; where that is gone or has changed, to the passage below the answer.
    """
    shorts = short_answers(answer)
    return _prose_html(answer.text, shorts, answer.citations, number, documents, texts)


def written_html(
    text: str,
    citations: Iterable[Citation],
    number: int,
    documents: Mapping[str, Document],
    texts: Texts,
) -> str:
    """Show what stands so far of an answer that is being written, as it will stand in it."""
    return _prose_html(text, (), citations, number, documents, texts)


def unsupported_html(sentences: Iterable[str], texts: Texts) -> str:
    """Show the sentences that a model wrote and the passages do not support, each marked so."""
    items = "".join(
        f"<li><del>{escape(' '.join(sentence.split()))}</del> "
        f'<span class="cit-chip">{escape(texts.not_supported)}</span></li>'
        for sentence in sentences
    )
    return f'<ul class="cit-unsupported">{items}</ul>'


def consent_html(question: str, titles: Iterable[str], settings: Settings, texts: Texts) -> str:
    """Ask whether a model elsewhere may write the answer, and say what it would get."""
    listed = "".join(f"<li>{escape(title)}</li>" for title in titles)
    # None of them where what was found has gone since.
    sent = f"<p>{escape(texts.consent_passages)}</p><ul>{listed}</ul>" if listed else ""
    model, host = settings.llm, host_of(settings)
    about = texts.consent_text.format(here=texts.here(settings), model=model, host=host)
    kept = texts.consent_kept.format(model=model, host=host)
    return (
        f'<div class="cit-notice cit-notice-warning">'
        f"<strong>{escape(texts.consent_title.format(host=host))}</strong>"
        f"<p>{escape(about)}</p>"
        f"<p>{escape(texts.consent_question)}</p><ul><li>{escape(question)}</li></ul>"
        f"{sent}"
        f'<p class="cit-detail">{escape(kept)}</p></div>'
    )


def _prose_html(
    text: str,
    shorts: Iterable[str],
    citations: Iterable[Citation],
    number: int,
    documents: Mapping[str, Document],
    texts: Texts,
) -> str:
    markers = {
        citation.key: _marker_html(citation, number, documents, texts) for citation in citations
    }
    parts: list[str] = []
    items: list[str] = []
    bolds = [bold for bold in (" ".join(short.split()) for short in shorts) if bold in text]
    several = len(bolds) > 1
    for line in text.split("\n"):
        if not line.strip():
            continue
        item = _ITEM.match(line.lstrip())
        content = line.lstrip()[item.end() :] if item else line
        # Each once, in their order; a part of the question, which has no marker, is no answer.
        quotes = not several or _MARKER.search(content) is not None
        bold = bolds.pop(0) if quotes and bolds and bolds[0] in content else ""
        inline = _answer_line(content, bold, markers)
        if item:
            items.append(f"<li>{inline}</li>")
            continue
        parts += _as_list(items)
        items = []
        parts.append(f"<p>{inline}</p>")
    parts += _as_list(items)
    return f'<div class="cit-answer">{"".join(parts)}</div>'


def _as_list(items: Sequence[str]) -> list[str]:
    return [f"<ul>{''.join(items)}</ul>"] if items else []


def _marker_html(
    citation: Citation, number: int, documents: Mapping[str, Document], texts: Texts
) -> str:
    key = escape(citation.key)
    document = quoted_document(citation, documents)
    quote = citation.quote
    if document is not None:
        start, end = document.offsets.to_plain(citation.start, citation.end)
        quote = document.plain[start:end]
    quote = " ".join(quote.split())
    hint = quote if len(quote) <= _LONGEST_HINT else f"{quote[:_LONGEST_HINT].rstrip()}…"
    # An address too, which a click with the middle button opens in a window of its own.
    address = escape(source_address("", citation))
    link = (
        f'href="{address}" data-open="{f"{number}.{key}" if number else address}"'
        if document is not None
        else f'href="#passage-{number}-{key}"'
    )
    label = texts.go_to_passage.format(key=citation.key)
    return (
        f'<a class="cit-marker" {link} data-quote="{escape(hint)}" '
        f'aria-label="{escape(label)}">[{key}]</a>'
    )


def _answer_line(line: str, bold: str, markers: Mapping[str, str]) -> str:
    parts = []
    position = 0
    for marker in _MARKER.finditer(line):
        link = markers.get(marker.group(1))
        if link is None:
            continue
        parts += [_with_bold(line[position : marker.start()], bold), link]
        position = marker.end()
    parts.append(_with_bold(line[position:], bold))
    return "".join(parts)


def _with_bold(text: str, bold: str) -> str:
    before, found, after = text.partition(bold) if bold else (text, "", "")
    strong = f"<strong>{escape(found)}</strong>" if found else ""
    return f"{escape(before)}{strong}{escape(after)}"


def confidence_of(answer: Answer, texts: Texts) -> tuple[Literal["high", "medium", "low"], str]:
    """Return how sure an answer is, and how that is said."""
    if answer.confidence >= HIGH_CONFIDENCE:
        return "high", texts.confidence_high
    if answer.confidence >= MEDIUM_CONFIDENCE:
        return "medium", texts.confidence_medium
    return "low", texts.confidence_low


def footer_html(answer: Answer, texts: Texts) -> str:
    """Show how sure the answer is, in words, and how long it took."""
    level, words = confidence_of(answer, texts)
    parts = []
    if not answer.abstained:
        parts.append(f'<span class="cit-confidence cit-{level}">{escape(words)}</span>')
    if answer.mode == "written":
        parts.append(f"<span>{escape(texts.written_by.format(model=answer.model))}</span>")
    total = answer.timings.get("total_ms")
    if total is not None:
        seconds = f"{max(total / 1000, 0.1):.1f}".replace(".", texts.decimal_mark)
        parts.append(f"<span>{escape(texts.seconds.format(seconds=seconds))}</span>")
    return f'<div class="cit-footer">{"".join(parts)}</div>'


def evidence_html(shown: Evidence, number: int, texts: Texts) -> str:
    """Show a passage under its title and headings, what the answer quotes highlighted.

    `number` is that of the answer which quotes it, 0 where none does.
    """
    anchor = f"passage-{number}" if number else ""
    numbers = "".join(f'<span class="cit-number">{escape(key)}</span>' for key in shown.keys)
    path = " › ".join(name for name in shown.heading_path if name != shown.title)
    headings = f'<div class="cit-path">{escape(path)}</div>' if path else ""
    if shown.document is None:
        body = f"<p>{marked_html(shown.quote, 0, len(shown.quote), shown.marks, anchor)}</p>"
        language = ""
    else:
        body = blocks_html(shown.document, shown.start, shown.end, shown.marks, anchor)
        language = lang_attribute(shown.document)
    opens = f"{number}.{escape(shown.keys[0])}" if number and shown.keys else ""
    link = (
        f'<a class="cit-open" href="{escape(shown.address)}" data-open="{opens}">'
        f"{escape(texts.read_in_source)}</a>"
        if shown.address
        else ""
    )
    return (
        f'<section class="cit-card"><header>{numbers}'
        f'<div><h3 class="cit-title">{escape(shown.title)}</h3>{headings}</div>{link}</header>'
        f'<blockquote class="cit-text"{language}>{body}</blockquote></section>'
    )


def found_html(shown: Iterable[Evidence]) -> str:
    """Show where the passages stand that are being read, with how each begins."""
    items = ""
    for each in shown:
        if each.document is None:
            continue
        path = " › ".join(dict.fromkeys((each.title, *each.heading_path)))
        text = _beginning(each.document, each.start, each.end)
        items += (
            f'<li><div class="cit-path">{escape(path)}</div>'
            f'<div class="cit-text"{lang_attribute(each.document)}>{escape(text)}</div></li>'
        )
    return f'<ul class="cit-found">{items}</ul>' if items else ""


def _beginning(document: Document, start: int, end: int) -> str:
    """Return how a passage begins below its headings, on one line."""
    said = [
        document.plain[block.start : block.end]
        for block in blocks_within(document.blocks, start, end)
        if block.kind not in ("heading", "property", "noise")
    ]
    text = " ".join(" ".join(said).split()) or " ".join(document.plain[start:end].split())
    return text if len(text) <= _LONGEST_HINT else f"{text[:_LONGEST_HINT].rstrip()}…"
