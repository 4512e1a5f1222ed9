"""An address leads to the place that it was made of."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.types import Citation
from ui.addresses import Place, find, read_address, source_address

# The first twelve digits of the SHA-256 of "quote".
HASH = "6327245c3a45"


def cited(doc_id: str, start: int = 120, end: int = 174) -> Citation:
    return Citation("1", doc_id, "hash", start, end, "quote", "Title", ())


def parameters(address: str) -> dict[str, str]:
    """Return the parameters as a browser sends them and Streamlit hands them over."""
    return {name: values[-1] for name, values in parse_qs(urlsplit(address).query).items()}


def test_an_address_is_that_of_the_page_with_the_document_and_the_place() -> None:
    address = source_address("http://127.0.0.1:8501/", cited("notes/le bureau & l’été.md"))
    assert address == (
        "http://127.0.0.1:8501/?doc=notes/le%20bureau%20%26%20l%E2%80%99%C3%A9t%C3%A9.md&at=120-174"
        f"&hash={HASH}"
    )


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("", ""),
        ("https://host.example", "https://host.example/"),
        ("https://host.example/docs", "https://host.example/docs/"),
        # What the page was opened with is another question, or another document.
        ("http://host:8501/docs/?c=1&doc=b.md#top", "http://host:8501/docs/"),
    ],
)
def test_the_base_keeps_its_path_alone(base: str, expected: str) -> None:
    address = source_address(base, cited("a.md"))
    assert address == f"{expected}?doc=a.md&at=120-174&hash={HASH}"


@given(
    doc_id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    start=st.integers(0, 10**9),
    length=st.integers(1, 10**9),
)
def test_what_is_written_is_read(doc_id: str, start: int, length: int) -> None:
    address = source_address("http://host/", cited(doc_id, start, start + length))
    assert read_address(parameters(address)) == Place(doc_id, (start, start + length), HASH)


def test_a_name_that_is_no_text_does_not_keep_the_others_from_being_exported() -> None:
    address = source_address("", cited("caf\udce9.md"))
    assert address == f"?doc=caf%ED%B3%A9.md&at=120-174&hash={HASH}"


@pytest.mark.parametrize(
    "at", ["", "12", "a-b", "-5-9", "5-", "9-5", "5-5", "١-٢", "1-2-3", "1" * 20]
)
def test_a_malformed_stretch_shows_the_document(at: str) -> None:
    assert read_address({"doc": "a.md", "at": at}) == Place("a.md")


@pytest.mark.parametrize("params", [{}, {"doc": ""}, {"at": "1-2"}, {"c": "123"}])
def test_without_a_document_there_is_no_place(params: dict[str, str]) -> None:
    assert read_address(params) is None


@pytest.mark.parametrize("given", ["", "6327", "6327245C3A45", "x" * 12, "6327245c3a456", "٦" * 12])
def test_a_malformed_hash_is_left_out(given: str) -> None:
    params = {"doc": "a.md", "at": "1-6", "hash": given}
    assert read_address(params) == Place("a.md", (1, 6))


@pytest.mark.parametrize(
    ("span", "text", "found"),
    [
        # Where it was; moved; the nearer of two; gone; longer than what there is.
        ((4, 9), "one quote two", (4, 9)),
        ((4, 9), "one new quote two", (8, 13)),
        ((0, 5), "**quote** here", (2, 7)),
        ((12, 17), "a quote here and a quote there", (19, 24)),
        ((4, 9), "one quotes two", (4, 9)),
        ((4, 9), "one quite two", None),
        ((4, 9), "quot", None),
        ((0, 10**9), "one quote two", None),
        ((4, 9), "", None),
    ],
)
def test_words_are_found_by_their_hash(
    span: tuple[int, int], text: str, found: tuple[int, int] | None
) -> None:
    assert find(Place("a.md", span, HASH), text) == found


@pytest.mark.parametrize(
    ("span", "found"), [((4, 9), (4, 9)), ((0, 13), (0, 13)), ((4, 14), None), (None, None)]
)
def test_without_a_hash_a_place_is_where_it_was(
    span: tuple[int, int] | None, found: tuple[int, int] | None
) -> None:
    assert find(Place("a.md", span), "one other two") == found
