"""Turn answers, passages and documents into HTML that is safe to show.

This is the one place where text of a person, of a document or of an error becomes
markup, and all of it goes through `html.escape`. Nothing of theirs reaches
`st.markdown`, whose images, links, formulas, icons and directives would come alive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Final, Literal

from rag.answering import short_answers
from rag.chat_model import host_of
from rag.config import Settings
from rag.library import Added, Removed
from rag.types import Answer, Block, Chunk, Citation, Document, Passage, Ranking, Skipped, Source
from ui.addresses import source_address
from ui.texts import Texts

if TYPE_CHECKING:
    from ui.engine import Progress

__all__ = [
    "Evidence",
    "Mark",
    "added_html",
    "address_of",
    "answer_html",
    "chunk_html",
    "confidence_of",
    "consent_html",
    "document_html",
    "evidence",
    "evidence_html",
    "filters_html",
    "first_found",
    "footer_html",
    "found_html",
    "help_html",
    "how_far",
    "label_of",
    "marked",
    "nearest",
    "notice_html",
    "place_html",
    "properties_html",
    "question_html",
    "removed_html",
    "skipped_html",
    "source_heading_html",
    "source_html",
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
# A quote is judged by what is around it; more than a paragraph each side hides the quote.
LEAST_CONTEXT: Final = 80
MOST_CONTEXT: Final = 700
# Notes that repeat the same few labels hundreds of times would hide what they label.
_MOST_LABELS: Final = 20
# What is shown of a quote before it is opened; the card below has all of it.
_LONGEST_HINT: Final = 240
# Where a document comes from is said above them, and how it is laid out is not its matter.
_UNTOLD: Final = frozenset({"path", "format", "cssclass", "cssclasses"})
# Only an address and nothing else, so that what is opened is what is read.
_LINK: Final = re.compile(r"https?://[^\s<>\"']+")


@dataclass(frozen=True, slots=True)
class Mark:
    """A stretch of plain text to highlight, with the number the answer gives it."""

    start: int
    end: int
    key: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A stretch of a document's plain text to show, with its highlights.

    `quote` replaces all of it when the document is not the one that was quoted; there is no
    `address` to read on at then.
    """

    title: str
    heading_path: tuple[str, ...]
    document: Document | None
    start: int
    end: int
    marks: tuple[Mark, ...]
    quote: str = ""
    address: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(mark.key for mark in self.marks)


def evidence(answer: Answer, documents: Mapping[str, Document]) -> tuple[Evidence, ...]:
    """Return the passages that the answer quotes, in its order, one for each passage.

    Quotes from the same passage share it, each with its own highlight.
    """
    groups: dict[tuple[str, int, int], list[Citation]] = {}
    for citation in answer.citations:
        start, end = _around(citation, answer.passages)
        groups.setdefault((citation.doc_id, start, end), []).append(citation)
    shown = []
    for (_, start, end), citations in groups.items():
        first = citations[0]
        document = _quoted(first, documents)
        if document is None:
            shown += [
                Evidence(
                    title=citation.title,
                    heading_path=citation.heading_path,
                    document=None,
                    start=0,
                    end=0,
                    marks=(Mark(0, len(citation.quote), citation.key),),
                    quote=citation.quote,
                )
                for citation in citations
            ]
            continue
        marks = _marks(document, citations)
        begin, finish = _with_context(document, *document.offsets.to_plain(start, end), marks)
        shown.append(
            Evidence(
                first.title,
                first.heading_path,
                document,
                begin,
                finish,
                marks,
                address=source_address("", first),
            )
        )
    return tuple(shown)


def marked(answer: Answer, document: Document) -> tuple[Mark, ...]:
    """Return what an answer quotes of a document, as it was when it was quoted."""
    return _marks(
        document,
        [
            citation
            for citation in answer.citations
            if _quoted(citation, {document.doc_id: document})
        ],
    )


def _quoted(citation: Citation, documents: Mapping[str, Document]) -> Document | None:
    """Return the document that is quoted, None where it is gone or says something else by now."""
    document = documents.get(citation.doc_id)
    same = document is not None and document.content_hash == citation.content_hash
    return document if same else None


def _marks(document: Document, citations: Iterable[Citation]) -> tuple[Mark, ...]:
    return tuple(
        Mark(*document.offsets.to_plain(citation.start, citation.end), citation.key)
        for citation in citations
    )


def _with_context(
    document: Document, start: int, end: int, marks: Sequence[Mark]
) -> tuple[int, int]:
    """Widen a passage that is hardly more than its quotes to the blocks next to it."""
    quoted = sum(mark.end - mark.start for mark in marks)
    if end - start - quoted >= LEAST_CONTEXT:
        return start, end
    blocks = [block for block in document.blocks if block.kind != "noise"]
    before = [block for block in blocks if block.end <= start][-1:]
    # Not past a heading, on either side of which things are about something else.
    if any(block.kind == "heading" and block.start <= start < block.end for block in blocks):
        before = []
    after = [block for block in blocks if block.start >= end][:1]
    for block in before + after:
        if block.kind != "heading" and block.end - block.start <= MOST_CONTEXT:
            start, end = min(start, block.start), max(end, block.end)
    return start, end


def nearest(
    answer: Answer, documents: Mapping[str, Document], limit: int = 3
) -> tuple[Evidence, ...]:
    """Return the passages that came closest to an answer, without highlights."""
    shown = []
    for passage in answer.passages[:limit]:
        document = documents.get(passage.doc_id)
        if document is not None:
            start, end = document.offsets.to_plain(passage.start, passage.end)
            address = address_of(document, passage.start, passage.end)
            shown.append(Evidence(document.title, (), document, start, end, (), address=address))
    return tuple(shown)


def first_found(
    found: Sequence[Ranking], documents: Mapping[str, Document], limit: int = 3
) -> tuple[Evidence, ...]:
    """Return the passages to show before any is read: the best for each part of a question."""
    turns = zip_longest(*([hit for hit in each.hits if not hit.repeated] for each in found))
    chunks = {hit.chunk.chunk_id: hit.chunk for turn in turns for hit in turn if hit is not None}
    shown = []
    for chunk in list(chunks.values())[:limit]:
        document = documents.get(chunk.doc_id)
        # It may have changed since: then its answer will say so.
        if document is not None and document.text[chunk.start : chunk.end] == chunk.text:
            start, end = document.offsets.to_plain(chunk.start, chunk.end)
            shown.append(Evidence(document.title, chunk.heading_path, document, start, end, ()))
    return tuple(shown)


def address_of(document: Document, start: int, end: int) -> str:
    """Return the address of a canonical stretch of a document, relative to the page."""
    quote = document.text[start:end]
    return source_address("", Citation("", document.doc_id, "", start, end, quote, "", ()))


def _around(citation: Citation, passages: Iterable[Passage]) -> tuple[int, int]:
    """Return the passage that holds the citation, or the citation itself if none does."""
    for passage in passages:
        if (
            passage.doc_id == citation.doc_id
            and passage.start <= citation.start
            and citation.end <= passage.end
        ):
            return passage.start, passage.end
    return citation.start, citation.end


def question_html(question: str, anchor: str) -> str:
    """Show a question as it was written, line breaks included."""
    return f'<div class="cit-question" id="{anchor}">{escape(question)}</div>'


def understood_html(question: str, texts: Texts) -> str:
    """Show what a follow-up was taken to ask."""
    shown = texts.understood.format(question=question)
    return f'<p class="cit-help cit-understood">{escape(shown)}</p>'


def filters_html(labels: tuple[str, ...], texts: Texts) -> str:
    """Show what a question is limited to."""
    return _labels(texts.filters_in_force, labels)


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
    sent = "".join(f"<li>{escape(title)}</li>" for title in titles)
    model, host = settings.llm, host_of(settings)
    about = texts.consent_text.format(here=texts.here(settings), model=model, host=host)
    kept = texts.consent_kept.format(model=model, host=host)
    return (
        f'<div class="cit-notice cit-notice-warning">'
        f"<strong>{escape(texts.consent_title.format(host=host))}</strong>"
        f"<p>{escape(about)}</p>"
        f"<p>{escape(texts.consent_question)}</p><ul><li>{escape(question)}</li></ul>"
        f"<p>{escape(texts.consent_passages)}</p><ul>{sent}</ul>"
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
    document = _quoted(citation, documents)
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
        body = f"<p>{_inline(shown.quote, 0, len(shown.quote), shown.marks, anchor)}</p>"
        language = ""
    else:
        body = _blocks_html(shown.document, shown.start, shown.end, shown.marks, anchor)
        language = _lang(shown.document)
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
            f'<div class="cit-text"{_lang(each.document)}>{escape(text)}</div></li>'
        )
    return f'<ul class="cit-found">{items}</ul>' if items else ""


def _beginning(document: Document, start: int, end: int) -> str:
    """Return how a passage begins below its headings, on one line."""
    said = [
        document.plain[block.start : block.end]
        for block in _clipped(document.blocks, start, end)
        if block.kind not in ("heading", "property", "noise")
    ]
    text = " ".join(" ".join(said).split()) or " ".join(document.plain[start:end].split())
    return text if len(text) <= _LONGEST_HINT else f"{text[:_LONGEST_HINT].rstrip()}…"


def document_html(
    document: Document, marks: Sequence[Mark] = (), view: str = "", *, below_card: bool = False
) -> str:
    """Show a whole document as it reads, with highlights.

    `view` is what the page's script knows it by. Its properties are left out `below_card`,
    which has them, unless one is highlighted.
    """
    start = _after_properties(document, marks) if below_card else 0
    body = _blocks_html(document, start, len(document.plain), marks, "")
    known = f' data-view="{escape(view)}"' if view else ""
    return f'<article class="cit-text cit-document"{_lang(document)}{known}>{body}</article>'


def _after_properties(document: Document, marks: Sequence[Mark]) -> int:
    end = 0
    for block in document.blocks:
        if block.kind == "property":
            end = block.end
        elif block.kind != "noise":
            break
    return 0 if any(mark.start < end for mark in marks) else end


def source_heading_html(document: Document, texts: Texts) -> str:
    """Show which document is read: its title, identifier and language."""
    return (
        f'<div class="cit-source-heading"><h2 class="cit-title" id="source-title">'
        f'{escape(document.title)}</h2><div class="cit-path"><code>{escape(document.doc_id)}</code>'
        f" · {escape(texts.name_of(document.language))}</div></div>"
    )


def place_html(words: str, address: str, texts: Texts) -> str:
    """Say where in a document one is, and offer the address of that place."""
    copy = (
        f'<button type="button" class="cit-copy" data-copy="{escape(address)}" '
        f'data-said="{escape(texts.address_copied)}">{escape(texts.copy_address)}</button>'
        if address
        else ""
    )
    return f'<div class="cit-place"><span role="status">{escape(words)}</span>{copy}</div>'


def properties_html(document: Document, texts: Texts) -> str:
    """Show the properties of a note as a card; nothing where it has none."""
    names = {
        "title": texts.property_title,
        "type": texts.property_type,
        "tags": texts.tags,
        "aliases": texts.aliases,
        "date": texts.property_date,
        "created": texts.property_created,
        "modified": texts.property_modified,
        "updated": texts.property_modified,
    }
    told = {
        key: value
        for key, value in document.metadata.items()
        if key not in _UNTOLD and not (key == "title" and value == document.title)
    }
    known = [key for key in names if key in told]
    rows = "".join(
        f"<dt>{escape(names.get(key, key))}</dt>"
        f"<dd>{_values_html(told[key], chips=key in ('tags', 'aliases'))}</dd>"
        for key in [*known, *(key for key in told if key not in names)]
    )
    return f'<dl class="cit-properties">{rows}</dl>' if rows else ""


def _values_html(value: str | tuple[str, ...], *, chips: bool) -> str:
    values = (value,) if isinstance(value, str) else value
    if not chips:
        return ", ".join(_value_html(each) for each in values)
    return "".join(f'<span class="cit-chip">{_value_html(each)}</span>' for each in values)


def _value_html(value: str) -> str:
    if not _LINK.fullmatch(value):
        return escape(value)
    shown = escape(value)
    return f'<a href="{shown}" target="_blank" rel="noopener noreferrer">{shown}</a>'


def _lang(document: Document) -> str:
    return "" if document.language == "unknown" else f' lang="{document.language}"'


def _blocks_html(
    document: Document, start: int, end: int, marks: Sequence[Mark], anchor: str
) -> str:
    parts = []
    position = start
    for block in _clipped(document.blocks, start, end):
        parts.append(
            _block_html(document, Block("paragraph", position, block.start), marks, anchor)
        )
        parts.append(_block_html(document, block, marks, anchor))
        position = max(position, block.end)
    # Text outside every block is shown too: a reader must be able to read it all.
    parts.append(_block_html(document, Block("paragraph", position, end), marks, anchor))
    return "".join(parts)


def _clipped(blocks: Iterable[Block], start: int, end: int) -> Iterable[Block]:
    for block in blocks:
        low, high = max(block.start, start), min(block.end, end)
        if low < high:
            yield Block(block.kind, low, high, block.level)


def _block_html(document: Document, block: Block, marks: Sequence[Mark], anchor: str) -> str:
    if not document.plain[block.start : block.end].strip():
        return ""
    inline = _inline(document.plain, block.start, block.end, marks, anchor)
    level = min(max(block.level, 1), 6)
    if block.kind == "heading":
        return (
            f'<div class="cit-heading cit-level-{level}" role="heading" '
            f'aria-level="{min(level + 2, 6)}">{inline}</div>'
        )
    if block.kind == "item":
        return f'<div class="cit-item cit-level-{level}">{inline}</div>'
    return f'<div class="cit-{block.kind}">{inline}</div>'


def _inline(text: str, start: int, end: int, marks: Sequence[Mark], anchor: str) -> str:
    """Escape text[start:end], with `<mark>` where marks cover it, even overlapping."""
    cuts = {start, end}
    for mark in marks:
        cuts |= {cut for cut in (mark.start, mark.end) if start < cut < end}
    parts = []
    for low, high in pairwise(sorted(cuts)):
        piece = escape(text[low:high])
        covering = [mark for mark in marks if mark.start <= low and high <= mark.end]
        beginning = [mark for mark in covering if mark.start == low]
        if anchor:
            parts += [
                f'<span class="cit-anchor" id="{anchor}-{escape(mark.key)}"></span>'
                for mark in beginning
            ]
        if covering:
            # The number is drawn by the style sheet, so that copied text is the quote alone.
            numbers = " ".join(mark.key for mark in beginning)
            number = f' data-number="{escape(numbers)}"' if numbers else ""
            keys = escape(" ".join(mark.key for mark in covering))
            piece = f'<mark{number} data-keys="{keys}">{piece}</mark>'
        parts.append(piece)
    return "".join(parts)


def notice_html(
    message: str,
    kind: Literal["info", "warning", "error"] = "info",
    detail: str = "",
    points: Sequence[str] = (),
) -> str:
    """Show one sentence in a box; an error or a warning is announced to screen readers.

    Under it stand the `detail`, or `points` of advice.
    """
    role = "status" if kind == "info" else "alert"
    more = f'<div class="cit-detail">{escape(detail)}</div>' if detail else ""
    lines = "".join(f"<li>{escape(point)}</li>" for point in points)
    advice = f'<ul class="cit-detail">{lines}</ul>' if lines else ""
    return (
        f'<div class="cit-notice cit-notice-{kind}" role="{role}">'
        f"<div>{escape(message)}</div>{more}{advice}</div>"
    )


def label_of(text: str) -> str:
    """Return text of a person for the label of a widget, which Streamlit reads as Markdown.

    A word joiner, which is not seen, keeps apart what Streamlit replaces after the marks are
    read: names of icons and emoji, arrows.
    """
    line = " ".join(text.split())
    line = re.sub(r"(?<=[:<>~=-])(?=\S)", "\N{WORD JOINER}", line)
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", line)


def how_far(progress: Progress | None, texts: Texts) -> tuple[float, str]:
    """Return which share of a piece of work is done, and the words beside it."""
    stages = {
        "encoder": texts.stage_encoder,
        "files": texts.stage_files,
        "documents": texts.stage_documents,
        "embed": texts.stage_embed,
    }
    if progress is None:
        return 0.0, f"{texts.opening}…"
    label = stages.get(progress.stage, texts.opening)
    done = texts.count(progress.done)
    if progress.total > 0:
        fraction = min(progress.done / progress.total, 1.0)
        return fraction, f"{label} · {done} / {texts.count(progress.total)}"
    # How many there will be is not known yet.
    return 0.0, f"{label} · {done}"


def help_html(message: str) -> str:
    """Show a sentence that stands back behind what is around it."""
    return f'<p class="cit-help" role="status">{escape(message)}</p>'


def source_html(source: Source, texts: Texts, *, labels: bool = True, changed: str = "") -> str:
    """Show what there is to know of a document: its name, language, size and labels.

    `changed` is when its file was last written, as a person writes it.
    """
    count = (
        texts.passage_count
        if source.chunks == 1
        else texts.passages_count.format(count=texts.count(source.chunks))
    )
    facts = [
        texts.format_of(str(source.metadata.get("format", ""))),
        texts.name_of(source.language),
        texts.characters.format(count=texts.count(source.characters)),
        count,
        texts.changed_on.format(when=changed) if changed else "",
    ]
    chips = (
        _labels(texts.filter_type, source.metadata.get("type", ()))
        + _labels(texts.aliases, source.metadata.get("aliases", ()))
        + _labels(texts.tags, source.metadata.get("tags", ()))
        if labels
        else ""
    )
    # On a page of its own, the title is that of the page.
    title = escape(source.title)
    heading = (
        f'<h2 class="cit-title">{title}</h2>' if labels else f'<h1 class="cit-h1">{title}</h1>'
    )
    return (
        f'<section class="cit-source">{heading}'
        f'<div class="cit-path"><code>{escape(source.doc_id)}</code> · '
        f"{escape(' · '.join(fact for fact in facts if fact))}</div>"
        f"{chips}</section>"
    )


def _labels(name: str, values: str | tuple[str, ...]) -> str:
    names = (values,) if isinstance(values, str) else values
    if not names:
        return ""
    chips = "".join(
        f'<span class="cit-chip">{escape(value)}</span>' for value in names[:_MOST_LABELS]
    )
    more = f'<span class="cit-more">+ {len(names) - _MOST_LABELS}</span>'
    rest = more if len(names) > _MOST_LABELS else ""
    return f'<div class="cit-labels"><span>{escape(name)}</span>{chips}{rest}</div>'


def skipped_html(skipped: Sequence[Skipped], texts: Texts) -> str:
    """Show which files could not be read, and why."""
    title = (
        texts.skipped_one
        if len(skipped) == 1
        else texts.skipped_many.format(count=texts.count(len(skipped)))
    )
    lines = "".join(
        f"<li><code>{escape(item.path)}</code> — {escape(texts.say(item.reason))}</li>"
        for item in skipped
    )
    return (
        '<div class="cit-notice cit-notice-warning">'
        f"<div>{escape(title)}</div><ul>{lines}</ul></div>"
    )


# --- What was done to the documents -----------------------------------------------------------


def chunk_html(chunk: Chunk, number: int, texts: Texts) -> str:
    """Show a passage as it is stored: its place, its headings, and the text of the file."""
    place = texts.passage_place.format(
        start=texts.count(chunk.start),
        end=texts.count(chunk.end),
        count=texts.count(chunk.end - chunk.start),
    )
    path = " › ".join(chunk.heading_path)
    headings = f'<div class="cit-path">{escape(path)}</div>' if path else ""
    return (
        '<section class="cit-chunk"><h3 class="cit-title">'
        f"{escape(texts.passage_number.format(number=number))}</h3>"
        f'{headings}<div class="cit-path">{escape(place)}</div>'
        f"<pre>{escape(chunk.text)}</pre></section>"
    )


def added_html(added: Sequence[Added], texts: Texts, formats: str, megabytes: int) -> str:
    """Show what became of the files that were given, those that were refused with the reason."""
    titles = {
        "added": texts.added,
        "replaced": texts.replaced,
        "unchanged": texts.unchanged,
        "refused": texts.refused,
    }
    problems = {
        "name": texts.problem_name,
        "format": texts.problem_format,
        "size": texts.problem_size,
        "exists": texts.problem_exists,
        "unreadable": "{detail}",
        "disk": texts.problem_disk,
    }
    parts = []
    for status, title in titles.items():
        entries = [entry for entry in added if entry.status == status]
        if not entries:
            continue
        lines = ""
        for entry in entries:
            name = entry.name
            if status != "refused" and entry.doc_id != name:
                name = texts.saved_as.format(name=name, saved=entry.doc_id)
            reason = ""
            if entry.problem:
                words = problems[entry.problem]
                words = words.format(
                    detail=texts.say(entry.detail), formats=formats, size=megabytes
                )
                reason = f" — {escape(words)}"
            lines += f"<li><code>{escape(name)}</code>{reason}</li>"
        parts.append(f"<div>{escape(title)} · {texts.count(len(entries))}</div><ul>{lines}</ul>")
    kind = "warning" if any(entry.status == "refused" for entry in added) else "info"
    return f'<div class="cit-notice cit-notice-{kind}" role="status">{"".join(parts)}</div>'


def removed_html(removed: Removed, when: str, texts: Texts) -> str:
    """Show a file of the trash."""
    words = texts.trash_replaced if removed.replaced else texts.trash_removed
    return (
        f'<div class="cit-path"><code>{escape(removed.doc_id)}</code> · '
        f"{escape(words.format(when=when))}</div>"
    )
