"""Read HTML, Word and PDF files: the one module that knows their libraries."""

from __future__ import annotations

import io
import re
import statistics
import threading
import zipfile
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rag.documents.encoding import canonical, decode
from rag.documents.understanding import Extract
from rag.documents.web import extract_page
from rag.errors import Message, UnreadableDocument

__all__ = ["read_docx", "read_html", "read_pdf"]

_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
# A Word file is a ZIP archive, and a small one can expand without bound.
_LARGEST_EXPANSION = 300 * 1024 * 1024
_OLE_SIGNATURE = b"\xd0\xcf\x11\xe0"
_WORD_STYLES = "\n".join(
    ["p[style-name='Title'] => h1:fresh", "p[style-name='Titre'] => h1:fresh"]
    + [f"p[style-name='Titre {level}'] => h{level}:fresh" for level in range(1, 7)]
    + [f"p[style-name='Kop {level}'] => h{level}:fresh" for level in range(1, 7)]
)


def read_html(data: bytes, path: str) -> Extract:
    """Extract a page. Raises `UnreadableDocument` when it holds no text."""
    page = extract_page(canonical(_decode_html(data, path)))
    if not page.text:
        raise UnreadableDocument(path, Message("has no text in the page"))
    properties = {"lang": page.language} if page.language else {}
    return Extract(page.text, page.drafts, page.title, page.language, properties)


def _decode_html(data: bytes, path: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    declared = _CHARSET.search(data[:4096])
    if declared and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        name = declared[1].decode("ascii").lower()
        # Browsers read Latin-1 as Windows-1252 too.
        name = "cp1252" if name in ("iso-8859-1", "latin1", "us-ascii") else name
        try:
            return data.decode(name)
        except (LookupError, UnicodeDecodeError):
            pass
    return decode(data, path)


# --- Word -----------------------------------------------------------------------------


def read_docx(data: bytes, path: str) -> Extract:
    """Extract a Word document. Raises `UnreadableDocument` when it is damaged or empty."""
    if data.startswith(_OLE_SIGNATURE):
        reason = Message(
            "is encrypted or in the old Word format: save it as .docx without a password"
        )
        raise UnreadableDocument(path, reason)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise UnreadableDocument(path, Message("is damaged or not a Word document")) from error
    if size > _LARGEST_EXPANSION:
        limit = _LARGEST_EXPANSION // 2**20
        reason = Message(
            "expands to {size} MB, the limit is {limit} MB", size=size // 2**20, limit=limit
        )
        raise UnreadableDocument(path, reason)
    import mammoth

    try:
        html = mammoth.convert_to_html(
            io.BytesIO(data),
            style_map=_WORD_STYLES,
            convert_image=mammoth.images.img_element(lambda _: {"src": ""}),
        ).value
    except Exception as error:
        # mammoth raises whatever the malformed part makes Python raise.
        raise UnreadableDocument(path, Message("is damaged or not a Word document")) from error
    page = extract_page(f"<html><body>{html}</body></html>")
    if not page.text:
        raise UnreadableDocument(path, Message("has no text"))
    return Extract(page.text, page.drafts)


# --- PDF ------------------------------------------------------------------------------

# PDFium is not thread-safe.
_PDF_LOCK = threading.Lock()
_PDF_PASSWORD_ERROR = 4
_HYPHENATED = re.compile(r"[\x02\ufffe\u00ad](?:\s*\n\s*)?")
_JUNK_TITLE = re.compile(
    r"\.(?:docx?|odt|rtf|pdf|indd|qxp|tex)$|^(?:microsoft|untitled|sans titre|document\d*$)",
    re.IGNORECASE,
)
_PAGE_NUMBER = re.compile(
    r"[\W_]*(?:page|p\.|blz\.?)?\s*\d+\s*(?:(?:/|of|sur|van|de)\s*\d+)?[\W_]*"
)
# Headers and footers stand on at least this many pages, and on half of them, in the
# upper or lower share of the page.
_REPEATED = 3
_MARGIN = 0.08


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a page; `margin` tells that it stands where headers and footers do."""

    text: str
    size: float
    bottom: float
    margin: bool


def read_pdf(data: bytes, path: str) -> Extract:
    """Extract the text layer of a PDF.

    Raises `UnreadableDocument` when it is encrypted, damaged or only holds pictures.
    """
    import pypdfium2

    with _PDF_LOCK:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            encrypted = getattr(error, "err_code", None) == _PDF_PASSWORD_ERROR
            reason = Message("is encrypted: remove its password")
            if not encrypted:
                reason = Message("is a damaged PDF")
            raise UnreadableDocument(path, reason) from error
        try:
            pages = [_page_lines(document[number]) for number in range(len(document))]
            title = document.get_metadata_value("Title") or ""
        except pypdfium2.PdfiumError as error:
            raise UnreadableDocument(path, Message("is a damaged PDF")) from error
        finally:
            document.close()
    text = canonical(_join_pages(pages))
    if not text.strip():
        raise UnreadableDocument(path, Message("has no text layer: needs OCR"))
    title = " ".join(canonical(title).split())
    return Extract(text, title="" if _JUNK_TITLE.search(title) else title)


def _page_lines(page: Any) -> list[_Line]:
    import pypdfium2.raw as raw

    height = page.get_height()
    textpage = page.get_textpage()
    try:
        count = textpage.count_chars()
        lines, position = [], 0
        for part in textpage.get_text_range().split("\n"):
            place = position + len(part) - len(part.lstrip())
            position += len(part) + 1
            if part.strip() and place < count:
                bottom = textpage.get_charbox(place)[1]
                size = float(raw.FPDFText_GetFontSize(textpage, place))
                margin = not _MARGIN * height < bottom < (1 - _MARGIN) * height
                lines.append(_Line(part.strip(), size, bottom, margin))
        return lines
    finally:
        textpage.close()
        page.close()


def _repeated_lines(pages: list[list[_Line]]) -> frozenset[str]:
    """Return the lines, digits aside, that head or foot most pages."""
    counts = Counter(key for page in pages for key in {_key(line) for line in page if line.margin})
    needed = max(_REPEATED, len(pages) / 2)
    return frozenset(key for key, count in counts.items() if count >= needed)


def _key(line: _Line) -> str:
    return re.sub(r"\d+", "#", line.text)


def _join_pages(pages: list[list[_Line]]) -> str:
    repeated = _repeated_lines(pages)
    text = ""
    for page in pages:
        below = _page_text(page, repeated)
        if below:
            # A sentence that goes on overleaf belongs to the same paragraph.
            cut = text and text[-1] not in ".!?:;" and below[0].islower()
            text += ("\n" if cut else "\n\n" if text else "") + below
    return _HYPHENATED.sub("", text)


def _page_text(lines: list[_Line], repeated: frozenset[str]) -> str:
    lines = [
        line
        for line in lines
        if not line.margin
        or not (_key(line) in repeated or _PAGE_NUMBER.fullmatch(line.text.lower()))
    ]
    steps = [above.bottom - below.bottom for above, below in pairwise(lines)]
    usual = statistics.median([step for step in steps if step > 0] or [0.0])
    parts: list[str] = []
    for number, line in enumerate(lines):
        if number:
            # A wider gap than between lines, or another size of letters, parts paragraphs.
            resized = abs(lines[number - 1].size - line.size) > 1
            apart = steps[number - 1] > 1.3 * usual or steps[number - 1] < 0
            parts.append("\n\n" if resized or (usual and apart) else "\n")
        parts.append(line.text)
    return "".join(parts)
