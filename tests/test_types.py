"""Offsets between plain and canonical text."""

from rag.types import OffsetMap, Segment

# canonical: "**Siège** : *A&amp;B*"   plain: "Siège : A&B"
#             0123456789012345678901         01234567890
TEXT = "**Siège** : *A&amp;B*"
PLAIN = "Siège : A&B"
MAP = OffsetMap(
    (
        Segment(0, 5, 2, 7),  # Siège
        Segment(5, 8, 9, 12),  # " : "
        Segment(8, 9, 13, 14),  # A
        Segment(9, 10, 14, 19),  # & for &amp;
        Segment(10, 11, 19, 20),  # B
    )
)


def test_a_span_within_a_segment_is_shifted() -> None:
    assert MAP.to_canonical(1, 4) == (3, 6)
    assert TEXT[3:6] == PLAIN[1:4] == "ièg"


def test_a_span_over_marks_holds_them() -> None:
    low, high = MAP.to_canonical(0, 9)
    assert TEXT[low:high] == "Siège** : *A"


def test_an_entity_is_taken_whole() -> None:
    low, high = MAP.to_canonical(9, 10)
    assert TEXT[low:high] == "&amp;"
    assert MAP.to_plain(15, 17) == (9, 10)


def test_back_and_forth() -> None:
    assert MAP.to_plain(*MAP.to_canonical(0, len(PLAIN))) == (0, len(PLAIN))


def test_a_span_without_source_is_empty() -> None:
    assert OffsetMap((Segment(0, 2, 0, 2), Segment(3, 5, 7, 9))).to_canonical(2, 3) == (2, 2)
    assert OffsetMap(()).to_canonical(0, 4) == (0, 0)
