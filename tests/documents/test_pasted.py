"""Bare text: pages copied from a browser, and plain files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rag.documents import parse, read
from rag.types import Document

CORPUS = Path(__file__).parent.parent.parent / "corpus"
LONG = "Le CCB représente la Belgique auprès de ses homologues de différents pays."


def blocks(document: Document) -> list[tuple[str, int, str]]:
    return [(b.kind, b.level, document.plain[b.start : b.end]) for b in document.blocks]


def text(source: str, format: Literal["markdown", "text"] = "text") -> list[tuple[str, int, str]]:
    return blocks(parse(source, "x.txt", format=format))


def test_the_page_of_the_corpus() -> None:
    name = "ccb-relations-internationales.txt"
    document = read(CORPUS / name, name)
    assert document.title == "Relations internationales"
    assert document.language == "fr"
    found = [block for block in blocks(document) if block[0] != "paragraph"]
    assert found == [
        ("noise", 0, "www.belgium.be Logo of the federal government"),
        ("heading", 1, "Relations internationales"),
        ("noise", 0, "Europese netwerken"),
        ("heading", 2, "Au niveau européen"),
        ("heading", 2, "Au niveau international"),
        ("heading", 2, "Au niveau opérationnel"),
    ]
    assert sum(block[0] == "paragraph" for block in blocks(document)) == 16


def test_marks_of_markdown_are_text() -> None:
    assert text("Le produit 2*3*4, _x_, <b>, **y** et [z](t).") == [
        ("paragraph", 0, "Le produit 2*3*4, _x_, <b>, **y** et [z](t)."),
    ]


def test_a_note_without_structure_is_read_like_a_page() -> None:
    found = text(f"Titre de page\n\n{LONG} **gras**\n\nSous-titre\n\n{LONG}", "markdown")
    assert found == [
        ("heading", 1, "Titre de page"),
        ("paragraph", 0, f"{LONG} gras"),
        ("heading", 2, "Sous-titre"),
        ("paragraph", 0, LONG),
    ]


def test_short_paragraphs_stay_paragraphs() -> None:
    assert text("Il dort.\n\nOui\n\nNon\n\nPeut-être\n\nMerci de votre visite") == [
        ("paragraph", 0, each)
        for each in ("Il dort.", "Oui", "Non", "Peut-être", "Merci de votre visite")
    ]


def test_a_heading_of_the_same_language_over_another_stays() -> None:
    found = text(f"{LONG}\n\nRelations publiques\n\nAu niveau européen\n\n{LONG}")
    assert [block[0] for block in found] == ["paragraph", "heading", "heading", "paragraph"]


def test_numbered_headings() -> None:
    assert text(f"1. Contexte\n\n{LONG}\n\n1.1 Détails\n\n{LONG}") == [
        ("heading", 1, "1. Contexte"),
        ("paragraph", 0, LONG),
        ("heading", 3, "1.1 Détails"),
        ("paragraph", 0, LONG),
    ]


def test_lists_rows_and_cells() -> None:
    source = "Points :\n- un\n• deux\n  - trois\n\n1) a\n2) b\n\nNom : Jean\nÂge : 12\n\n"
    assert text(f"{source}x\ty\nz\tt\n\n=====\n") == [
        ("paragraph", 0, "Points :"),
        ("item", 1, "un"),
        ("item", 1, "deux"),
        ("item", 2, "trois"),
        ("item", 1, "a"),
        ("item", 1, "b"),
        ("fact", 0, "Nom : Jean"),
        ("fact", 0, "Âge : 12"),
        ("table", 0, "x | y"),
        ("table", 0, "z | t"),
        ("noise", 0, "====="),
    ]


def test_wrapped_lines_are_joined() -> None:
    source = (
        "Le comité s'est réuni le 12 mars 2024 à Bruxelles en présence de\n"
        "tous ses membres. Le président a ouvert la séance à 9 heures.\n"
        "Puis il part.\n"
        "Il revient le lendemain avec un autre ordre du jour et des notes."
    )
    assert [block[2] for block in text(source)] == [
        "Le comité s'est réuni le 12 mars 2024 à Bruxelles en présence de tous ses membres. "
        "Le président a ouvert la séance à 9 heures. Puis il part.",
        "Il revient le lendemain avec un autre ordre du jour et des notes.",
    ]


def test_a_page_without_blank_lines() -> None:
    found = text(f"Relations internationales\n{LONG}\nAu niveau européen\n{LONG}{LONG}")
    assert [block[0] for block in found] == [
        "heading",
        "paragraph",
        "heading",
        "paragraph",
    ]
