"""What holds for the map between plain and canonical text, whatever the source."""

from __future__ import annotations

from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.documents import parse
from rag.types import Document

PIECES = [
    "---\n", "\n", "\n\n", "# ", "## ", "- ", "  - ", "1. ", "> ", "> [!note] ", "**", "*", "_",
    "~~", "==", "`", "```\n", "[[", "]]", "|", "[", "](", "](u)", ")", "![[", "![", "mot", "é e",
    "Été : 12", "\u00a0", "  ", "\t", "&amp;", "&nbsp;", "<b>", "<br>", "<!--", "-->", "%%", "\\",
    "#tag", " ^id", "[^1]", "[^1]: ", "| a | b |\n|--|--|\n", "title: x\n", "tags: [a, b]\n",
    "x: 'é\n", "y: |\n  a\n   b\n", "    code\n", "http://a.b/c_d", "Phrase. Autre.", "\u00ad",
    "\u200b", "🎯", "√©", "Ã©", "\r\n", "\x00", "\u2028", "cle:: v\n", "<script>", "</script>",
    "===\n", "&#10;", "&#0;", " : ", "\ufeff", "e\u0301",
]  # fmt: skip
MARKDOWN = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
NOTES = st.one_of(MARKDOWN, st.builds("---\n{}\n---\n{}".format, MARKDOWN, MARKDOWN))
FAST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FORMATS = st.sampled_from(["markdown", "text"])


def check(document: Document) -> None:
    _check_segments(document)
    _check_blocks(document)
    _check_round_trips(document)


def _check_segments(document: Document) -> None:
    plain_end = end = 0
    for segment in document.offsets.segments:
        assert plain_end <= segment.plain_start < segment.plain_end <= len(document.plain)
        assert end <= segment.start < segment.end <= len(document.text)
        plain_end, end = segment.plain_end, segment.end
        if segment.aligned:
            shown = document.plain[segment.plain_start : segment.plain_end]
            source = document.text[segment.start : segment.end]
            for character, original in zip(shown, source, strict=True):
                assert character == original or (character == " " and original.isspace())


def _check_blocks(document: Document) -> None:
    position = 0
    for block in document.blocks:
        assert document.plain[position : block.start] == ("\n" if position else "")
        assert document.plain[block.start : block.end].strip()
        position = block.end
    assert position == len(document.plain)


def _check_round_trips(document: Document) -> None:
    length = len(document.plain)
    for start in range(0, length, max(1, length // 12)):
        for end in (start + 1, min(length, start + 7), length):
            low, high = document.offsets.to_canonical(start, end)
            assert 0 <= low <= high <= len(document.text)
            mapped = [
                (max(start, each.plain_start), min(end, each.plain_end), each)
                for each in document.offsets.segments
                if each.plain_start < end and start < each.plain_end
            ]
            if mapped:
                back = document.offsets.to_plain(low, high)
                assert back[0] <= mapped[0][0] and mapped[-1][1] <= back[1]
            for first, last, segment in mapped:
                if segment.aligned:
                    words = document.plain[first:last].split()
                    assert all(word in document.text[low:high] for word in words)


@FAST
@given(NOTES, FORMATS)
def test_markdown(source: str, format: Literal["markdown", "text"]) -> None:
    check(parse(source, "x.md", format=format))


@FAST
@given(st.text(max_size=120), FORMATS)
def test_any_text(source: str, format: Literal["markdown", "text"]) -> None:
    check(parse(source, "x.md", format=format))


@FAST
@given(NOTES)
def test_reading_the_canonical_text_again_changes_nothing(source: str) -> None:
    text = parse(source, "x.md", format="text").text
    assert parse(text, "x.md", format="text").text == text


def test_a_separator_comes_from_no_source() -> None:
    document = parse("# T\n\n| a | b |\n|--|--|\n| c | d |\n", "x.md", format="markdown")
    bar = document.plain.index(" | ")
    low, high = document.offsets.to_canonical(bar, bar + 3)
    assert low == high
