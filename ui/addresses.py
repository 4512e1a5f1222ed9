"""The addresses of places in documents: written into exports, read by the page.

`?doc=notes/bureau.md&at=120-174` is the stretch from 120 to 174 of a document's canonical
text. Only the identifier and two numbers are in it: nothing of what is said there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from rag.types import Citation

__all__ = ["Place", "read_address", "source_address"]

# ASCII digits, and few enough for any document.
_SPAN: Final = re.compile(r"([0-9]{1,12})-([0-9]{1,12})")


@dataclass(frozen=True, slots=True)
class Place:
    """A document, and the canonical stretch of it to show, None for its beginning."""

    doc_id: str
    span: tuple[int, int] | None = None


def source_address(base_url: str, citation: Citation) -> str:
    """Return the address at which the page shows what is cited, within its document.

    `base_url` is that of the page, whatever it was opened with; empty gives an address that
    is relative to the page.
    """
    parts = urlsplit(base_url)
    # What cannot be written in UTF-8 (half of a surrogate pair, from the name of a file) must
    # not keep the rest from being exported.
    name = quote(citation.doc_id, safe="/", errors="surrogatepass")
    query = f"doc={name}&at={citation.start}-{citation.end}"
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
    return Place(doc_id, (int(found[1]), int(found[2])))
