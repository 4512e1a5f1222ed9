"""Properties at the head of a note."""

from __future__ import annotations

import pytest

from rag.documents import parse
from rag.types import Document


def note(head: str, body: str = "# T\n\nCorps du texte.") -> Document:
    return parse(f"---\n{head}\n---\n{body}", "dossier/ma-note.md", format="markdown")


def test_scalars_stay_the_text_that_was_typed() -> None:
    document = note(
        "pays: NO\nheure: 12:30\ncode: 0123\nversion: 1.10\ndate: 2024-05-01\nvide:\nnul: ~\n"
        "content: a\nhandler: b"
    )
    assert dict(document.metadata) == {
        "pays": "NO",
        "heure": "12:30",
        "code": "0123",
        "version": "1.10",
        "date": "2024-05-01",
        "content": "a",
        "handler": "b",
        "path": "dossier/ma-note.md",
        "format": "markdown",
    }


def test_nested_and_listed_values() -> None:
    document = note("a:\n  b: 1\n  c: [x, y]\nalias: Un, Deux\ntag: '#x y'\npath: piège")
    assert document.metadata["a.b"] == "1"
    assert document.metadata["a.c"] == ("x", "y")
    assert document.metadata["aliases"] == ("Un", "Deux")
    assert document.metadata["tags"] == ("x", "y")
    assert document.metadata["path"] == "dossier/ma-note.md"
    assert document.plain.split("\n")[0] == "a : b : 1, c : x, y"


def test_properties_keep_their_places() -> None:
    document = note(
        'titre: "Un \\u00e9t\\u00e9"\ntexte: |\n  une ligne\n  deux\nliste:\n  - a b\n  - c'
    )
    assert document.plain.split("\n")[:3] == [
        "titre : Un été",
        "texte : une ligne deux",
        "liste : a b, c",
    ]
    for words in ("une ligne", "a b"):
        start = document.plain.index(words)
        low, high = document.offsets.to_canonical(start, start + len(words))
        assert document.text[low:high] == words
    start = document.plain.index("Un été")
    low, high = document.offsets.to_canonical(start, start + 6)
    assert "Un \\u00e9t\\u00e" in document.text[low:high]


def test_title() -> None:
    assert note("title: Titre", "# Autre").title == "Titre"
    assert note("a: b", "# Autre").title == "Autre"
    assert note("a: b", "Corps.").title == "Ma note"


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ("title: a: b", " on line 2: mapping values are not allowed here"),
        ("a: &x 1\nb: *x", ": aliases are not supported"),
    ],
)
def test_broken_properties_are_noise(head: str, problem: str) -> None:
    document = note(head)
    assert document.metadata["problems"] == (f"frontmatter is not valid YAML{problem}",)
    assert document.blocks[0].kind == "noise"
    assert document.title == "T"
    assert document.plain.endswith("Corps du texte.")


def test_deep_nesting_is_a_problem_not_a_crash() -> None:
    assert "problems" in note("a: " + "[" * 5000).metadata


@pytest.mark.parametrize(
    "source",
    [
        "---\n\nUn paragraphe seul.\n\n---\n\nSuite du texte.",
        "---\nUn paragraphe seul.\n---\nSuite du texte.",
    ],
)
def test_rules_around_a_paragraph_are_no_frontmatter(source: str) -> None:
    document = parse(source, "x.md", format="markdown")
    assert document.plain == "Un paragraphe seul.\nSuite du texte."
    assert {block.kind for block in document.blocks} == {"paragraph"}


def test_unclosed_and_empty_frontmatter() -> None:
    assert parse("---\na: b\n\nTexte.", "x.md", format="markdown").plain == "a: b\nTexte."
    assert parse("---\n---\nTexte.", "x.md", format="markdown").plain == "Texte."
