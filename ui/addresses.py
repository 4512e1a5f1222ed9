"""The addresses of places in documents: written into exports, read by the page.

`?doc=notes/bureau.md&at=120-174&hash=6327245c3a45` is the stretch from 120 to 174 of a
document's canonical text. The hash tells whether the words there are still the same, and finds
them where they have moved; nothing of what they say is in the address.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from rag.types import Citation

__all__ = ["Place", "find", "read_address", "source_address"]

# ASCII digits, and few enough for any document.
_SPAN: Final = re.compile(r"([0-9]{1,12})-([0-9]{1,12})")
_HASH: Final = re.compile(r"[0-9a-f]{12}")
_HASH_LENGTH: Final = 12
# Where a quote may begin: with a word, or with marks before one.
_BEGINNING: Final = re.compile(r"(?<!\S)\S|\b\w")
# How many characters are looked at in search of words that have moved; a quarter of a second.
_MOST_SEARCHED: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """A document, and the canonical stretch of it to show, None for its beginning.

    `hash` is that of the words there, empty where an address gives none.
    """

    doc_id: str
    span: tuple[int, int] | None = None
    hash: str = ""


def source_address(base_url: str, citation: Citation) -> str:
    """Return the address at which the page shows what is cited, within its document.

    `base_url` is that of the page, whatever it was opened with; empty gives an address that
    is relative to the page.
    """
    parts = urlsplit(base_url)
    # What cannot be written in UTF-8 (half of a surrogate pair, from the name of a file) must
    # not keep the rest from being exported.
    name = quote(citation.doc_id, safe="/", errors="surrogatepass")
    query = f"doc={name}&at={citation.start}-{citation.end}&hash={_hash(citation.quote)}"
    # Streamlit names the page without the slash at its end, which would cost a redirection; many
    # proxies lose the rest of the address in it.
    path = parts.path.rstrip("/") + "/" if base_url else ""
    return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


def read_address(params: Mapping[str, str]) -> Place | None:
    """Return the place that the parameters of an address name, None where they name none.

    A stretch that is malformed is left out: its document is still worth showing.
    """
    doc_id = params.get("doc", "")
    if not doc_id:
        return None
    found = _SPAN.fullmatch(params.get("at", ""))
    if found is None or int(found[1]) >= int(found[2]):
        return Place(doc_id)
    given = _HASH.fullmatch(params.get("hash", ""))
    return Place(doc_id, (int(found[1]), int(found[2])), given[0] if given else "")


def find(place: Place, text: str) -> tuple[int, int] | None:
    """Return where in its document's canonical `text` the words of a place stand.

    That is the stretch itself while it has their hash, or where it has none; otherwise the
    nearest stretch as long that has it; None where there is none.
    """
    if place.span is None:
        return None
    start, end = place.span
    if end <= len(text) and place.hash in ("", _hash(text[start:end])):
        return start, end
    length = end - start
    if not place.hash or length > len(text):
        return None
    starts = [found.start() for found in _BEGINNING.finditer(text, 0, len(text) - length + 1)]
    starts.sort(key=lambda begin: abs(begin - start))
    for begin in starts[: _MOST_SEARCHED // length]:
        if _hash(text[begin : begin + length]) == place.hash:
            return begin, begin + length
    return None


def _hash(words: str) -> str:
    # What cannot be written in UTF-8 is found in names of files, and may be in texts.
    data = words.encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()[:_HASH_LENGTH]
