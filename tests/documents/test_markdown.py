"""Markdown and Obsidian notes, as their readers see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.documents import parse, read
from rag.types import Document

CORPUS = Path(__file__).parent.parent.parent / "corpus"


def blocks(document: Document) -> list[tuple[str, int, str]]:
    return [(b.kind, b.level, document.plain[b.start : b.end]) for b in document.blocks]


def note(source: str) -> list[tuple[str, int, str]]:
    return blocks(parse(source, "note.md", format="markdown"))


def line(source: str) -> str:
    """Return the plain text of a line under a heading."""
    return parse(f"# T\n\n{source}", "note.md", format="markdown").plain.partition("\n")[2]


def test_the_note_of_the_corpus() -> None:
    document = read(CORPUS / "belgian-cyber-command.md", "belgian-cyber-command.md")
    assert document.title == "Belgian Cyber Command (BCC)"
    assert document.language == "fr"
    assert document.metadata["aliases"] == (
        "Belgian Cyber Command",
        "BCC",
        "Commandement Cyber Belge",
        "Cyber Commandement Belge",
    )
    assert document.metadata["pays"] == "Belgique"
    assert document.metadata["type"] == ("Gouvernemental", "Militaire")
    assert "stratégie" in document.metadata["tags"]
    found = blocks(document)
    assert [(kind, level) for kind, level, _ in found] == [
        *[("property", 0)] * 4,
        ("noise", 0),
        ("property", 0),
        ("heading", 1),
        ("heading", 2),
        *[("fact", 0)] * 5,
        ("heading", 2),
        ("paragraph", 0),
        *[("item", 1)] * 4,
        ("heading", 2),
        ("paragraph", 0),
        *[("item", 1)] * 4,
    ]
    texts = [text for _, _, text in found]
    assert texts[0] == (
        "aliases : Belgian Cyber Command, BCC, Commandement Cyber Belge, Cyber Commandement Belge"
    )
    assert texts[7:13] == [
        "Fiche d'Identité",
        "Nom complet : Belgian Cyber Command",
        "Siège : Bruxelles, Belgique",
        "Rôle : Défense Militaire Cyber, Opérations Cyber Offensives et Défensives",
        "Création : 2022",
        "Rattachement : Ministère de la Défense belge",
    ]
    assert texts[15].startswith("Défense des réseaux militaires : Protéger l'ensemble des réseaux")
    start = document.plain.index("Bruxelles, Belgique")
    low, high = document.offsets.to_canonical(start, start + len("Bruxelles, Belgique"))
    assert document.text[low:high] == "Bruxelles, Belgique"


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("**gras** *ital* _ital_ __gras__ ***deux***", "gras ital ital gras deux"),
        ("~~non~~ ==oui== x == y", "non oui x == y"),
        ("l'**État** et **Nom :**suite", "l'État et Nom :suite"),
        ("snake_case_nom 2*3*4 a * b **seul", "snake_case_nom 2*3*4 a * b **seul"),
        (r"\*pas gras\* 1\. C:\dossier", "*pas gras* 1. C:\\dossier"),
        ("`code *x*` ``a ` b`` ` seul", "code *x* a ` b ` seul"),
        ("[[Cible|libellé]] [[Note]] [[Note#Partie]] [[#Ici]]", "libellé Note Note Ici"),
        ("x ![[a.png]] y ![[a.png|300]] z ![[a.png|Plan]]", "x y z Plan"),
        ("[un **lien**](https://a.be/x_(y) 't') ![alt](i.png)", "un lien alt"),
        ("<https://a.be/b_c_d> et", "https://a.be/b_c_d et"),
        ("_x_ https://a.be/e_f_g, www.a.be", "x https://a.be/e_f_g, www.a.be"),
        ("un&nbsp;deux &amp; &eacute; &inconnu;", "un deux & é &inconnu;"),
        ("<b>gras</b> <nom> x<br>y <!-- non -->z", "gras <nom> x y z"),
        ("note[^1] et mot^[en ligne]", "note et mot (en ligne)"),
        ("a  b\u00a0c\u2009d so\u00adft ze\u200bro", "a b c d soft zero"),
        ("[1] et [1][2] et [x]", "[1] et [1][2] et [x]"),
        ("avant %%caché%% après `%%` fin", "avant après %% fin"),
        ("<!-- jamais fermé", "<!-- jamais fermé"),
        ("Texte ^bloc-1", "Texte"),
        ("un\ndeux  \ntrois\\\nquatre", "un deux trois quatre"),
    ],
)
def test_inline_marks(source: str, plain: str) -> None:
    assert line(source) == plain


def test_headings_lists_and_code() -> None:
    assert note(
        "# A #\n\nB\n---\n\n- [ ] un\n  - deux\n    suite\n\n    reste\n1. trois\n\n"
        "> cité\n> suite\n\n```py\nx  = 1\n\n  y\n```\n"
    ) == [
        ("heading", 1, "A"),
        ("heading", 2, "B"),
        ("item", 1, "un"),
        ("item", 2, "deux suite"),
        ("paragraph", 0, "reste"),
        ("item", 1, "trois"),
        ("paragraph", 0, "cité suite"),
        ("code", 0, "x  = 1\n\n  y"),
    ]


def test_tables_are_rows() -> None:
    assert note("# T\n\n| Nom | Rôle |\n|--|--|\n| **BCC** | a \\| b |\n| [[C\\|CCB]] | |\n") == [
        ("heading", 1, "T"),
        ("table", 0, "Nom | Rôle"),
        ("table", 0, "BCC | a | b"),
        ("table", 0, "CCB"),
    ]


def test_a_callout_heads_its_rows() -> None:
    assert note("# T\n> [!user]- Fiche\n> - Nom : Jean\n> - Âge : 12\n\n## Suite") == [
        ("heading", 1, "T"),
        ("heading", 2, "Fiche"),
        ("fact", 0, "Nom : Jean"),
        ("fact", 0, "Âge : 12"),
        ("heading", 2, "Suite"),
    ]


def test_text_behind_a_callout_stays_in_its_section() -> None:
    assert note("# T\n> [!info] Titre\n> corps\n\nSuite") == [
        ("heading", 1, "T"),
        ("paragraph", 0, "Titre"),
        ("paragraph", 0, "corps"),
        ("paragraph", 0, "Suite"),
    ]


def test_rows_need_a_neighbour_or_a_marked_key() -> None:
    assert note("# T\n\n- Nom : Jean\n- autre chose\n- **Âge** : 12\n\nSiège:: Liège") == [
        ("heading", 1, "T"),
        ("item", 1, "Nom : Jean"),
        ("item", 1, "autre chose"),
        ("fact", 0, "Âge : 12"),
        ("fact", 0, "Siège : Liège"),
    ]
    assert note("# T\n\n**Nom** : Jean\n**Âge** : 12")[1:] == [
        ("fact", 0, "Nom : Jean"),
        ("fact", 0, "Âge : 12"),
    ]


def test_definitions() -> None:
    source = "# T\n\nVoir [texte][a].\n\n[^1]: Note une.\n[^2]: Note deux.\n[a]: https://a.be\n"
    assert note(source) == [
        ("heading", 1, "T"),
        ("paragraph", 0, "Voir texte."),
        ("paragraph", 0, "Note une."),
        ("paragraph", 0, "Note deux."),
    ]  # fmt: skip


def test_tags_of_the_body_join_those_of_the_head() -> None:
    document = parse(
        "---\ntags: '#a, b'\n---\n# T\n\nUn #sujet/cyber, C#, #1, `#code` et #a.\n\n#fin #b\n",
        "x.md",
        format="markdown",
    )
    assert document.metadata["tags"] == ("a", "b", "sujet/cyber", "fin")
    assert blocks(document)[-1] == ("noise", 0, "#fin #b")


def test_scripts_are_no_text() -> None:
    assert note("# T\n<script>\nvar x;\n\ny\n</script>\nfin") == [
        ("heading", 1, "T"),
        ("paragraph", 0, "fin"),
    ]


@pytest.mark.parametrize("mark", ["[", "[](", "**a", "`", "> ", "<a ", "%%", "![[", "&a", "- "])
def test_long_runs_of_marks_end(mark: str) -> None:
    parse(mark * (20_000 // len(mark)), "x.md", format="markdown")
