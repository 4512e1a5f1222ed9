"""Files and folders: every format, and everything that can be wrong with one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.documents import parse, read, read_folder
from rag.errors import UnreadableDocument
from rag.types import Document, Skipped

PAGE = """<!doctype html><html lang="fr-BE"><head><title>Le CCB | Accueil</title>
<style>p{}</style><script>var a = 1;</script></head><body>
<header><h1>Logo</h1><nav>Accueil</nav></header><div class="cookie-bar">Cookies</div>
<main><header><h1>Le  Centre
pour la Cybersécurité</h1></header>
<p>Le <b>CCB</b> coûte 2*3*4 &amp; plus.&nbsp;Voir
l'<em>État</em><sup><a href="#n1">1</a></sup>.</p>
<p>Rue de la Loi 16<br>1000 Bruxelles<br>et ailleurs</p>
<ul><li>Un<ul><li>Deux</li></ul></li><li><p>Trois</p><p>suite</p></li></ul><ol><li>a<li>b</ol>
<table><tr><th>Année<th>Effectif</tr><tr><td>2022<td>350<br>personnes</tr></table>
<dl><dt>Siège</dt><dd>Bruxelles</dd></dl><pre>x  = 1
  y</pre><form><label>Nom</label><input></form><div hidden>caché</div></main>
<footer>© 2024</footer></body></html>"""


def blocks(document: Document) -> list[tuple[str, int, str]]:
    return [(b.kind, b.level, document.plain[b.start : b.end]) for b in document.blocks]


def reason(path: Path, **options: int) -> str:
    with pytest.raises(UnreadableDocument) as caught:
        read(path, path.name, **options)
    return caught.value.reason


def test_html(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGE, encoding="utf-8")
    document = read(path, "page.html")
    assert document.title == "Le Centre pour la Cybersécurité"
    assert dict(document.metadata) == {"lang": "fr-BE", "path": "page.html", "format": "html"}
    assert blocks(document) == [
        ("heading", 1, "Le Centre pour la Cybersécurité"),
        ("paragraph", 0, "Le CCB coûte 2*3*4 & plus. Voir l'État."),
        ("paragraph", 0, "Rue de la Loi 16"),
        ("paragraph", 0, "1000 Bruxelles et ailleurs"),
        ("item", 1, "Un"),
        ("item", 2, "Deux"),
        ("item", 1, "Trois"),
        ("paragraph", 0, "suite"),
        ("item", 1, "a"),
        ("item", 1, "b"),
        ("table", 0, "Année | Effectif"),
        ("table", 0, "2022 | 350 personnes"),
        ("fact", 0, "Siège : Bruxelles"),
        ("code", 0, "x  = 1\n  y"),
    ]
    assert (
        "- Un\n  - Deux\n- Trois\n\nsuite\n\n1. a\n2. b\n\n| Année | Effectif |\n" in document.text
    )
    # The cells of a row are one stretch of the source.
    start = document.plain.index("2022 | 350 personnes")
    low, high = document.offsets.to_canonical(start, start + len("2022 | 350 personnes"))
    assert document.text[low:high] == "2022 | 350 personnes"


def test_html_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "page.htm"
    page = '<meta charset="iso-8859-1"><title>Été</title><p>L’école est fermée pour les vacances.'
    path.write_bytes(page.encode("cp1252"))
    document = read(path, "page.htm")
    assert (document.title, document.language) == ("Été", "fr")
    assert document.plain == "L’école est fermée pour les vacances."


def test_html_nested_deeply(tmp_path: Path) -> None:
    path = tmp_path / "deep.html"
    path.write_text("<div>" * 5000 + "fond")
    assert read(path, "deep.html").plain == "fond"


def test_docx(tmp_path: Path, make_docx: Callable[..., bytes]) -> None:
    path = tmp_path / "rapport.docx"
    content = [
        ("Titre1", "Rapport annuel"),
        ("", "Le centre est à Bruxelles. Il emploie 12 personnes &amp; plus."),
        ("Titre2", "Détails"),
        [["Année", "Budget"], ["2022", "1 M€"]],
    ]
    path.write_bytes(make_docx(content))
    document = read(path, "rapport.docx")
    assert (document.title, document.language) == ("Rapport annuel", "fr")
    assert blocks(document) == [
        ("heading", 1, "Rapport annuel"),
        ("paragraph", 0, "Le centre est à Bruxelles. Il emploie 12 personnes & plus."),
        ("heading", 2, "Détails"),
        ("table", 0, "Année | Budget"),
        ("table", 0, "2022 | 1 M€"),
    ]


def test_pdf(tmp_path: Path, make_pdf: Callable[..., bytes]) -> None:
    path = tmp_path / "rapport.pdf"
    first = "Le Centre pour la cybersécurité représente la Belgique au sein du"
    pages = [
        [
            ("Rapport du CCB", 9, 50, 815),
            (f"Chapitre {number}", 16, 50, 760),
            (first, 11, 50, 730),
            ("groupe de coopération européen et il en rend compte dans sa cybersé-", 11, 50, 716),
            ("curité.", 11, 50, 702),
            ("Un second paragraphe commence ici.", 11, 50, 670),
            (f"Page {number} sur 3", 9, 280, 30),
        ]
        for number in (1, 2, 3)
    ]
    path.write_bytes(make_pdf(pages, title="Microsoft Word - a.docx"))
    document = read(path, "rapport.pdf")
    assert (document.title, document.language) == ("Chapitre 1", "fr")
    text = f"{first} groupe de coopération européen et il en rend compte dans sa cybersécurité."
    assert blocks(document) == [
        block
        for number in (1, 2, 3)
        for block in (
            ("heading", 1 if number == 1 else 2, f"Chapitre {number}"),
            ("paragraph", 0, text),
            ("paragraph", 0, "Un second paragraphe commence ici."),
        )
    ]


def test_unreadable_files(tmp_path: Path, make_pdf: Callable[..., bytes]) -> None:
    contents = {
        "vide.md": b"",
        "blanc.txt": b" \n\t\n",
        "binaire.txt": bytes(range(256)) * 4,
        "vide.html": b"<html><script>x</script></html>",
        "abime.pdf": b"%PDF-1.7 rien",
        "image.pdf": make_pdf([[]]),
        "abime.docx": b"PK\x03\x04rien",
        "ancien.docx": b"\xd0\xcf\x11\xe0rien",
        "photo.png": b"x",
        "LISEZMOI": b"x",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "dossier.md").mkdir()
    (tmp_path / "casse.md").symlink_to("nulle-part")
    (tmp_path / "long.txt").write_bytes(b"x" * 2**20)
    os.mkfifo(tmp_path / "tuyau.txt")
    known = "(supported: .md, .markdown, .txt, .html, .htm, .pdf, .docx)"
    word = "is encrypted or in the old Word format: save it as .docx without a password"
    assert {path.name: reason(path, max_bytes=2**19) for path in tmp_path.iterdir()} == {
        "vide.md": "is empty",
        "blanc.txt": "is empty",
        "binaire.txt": "not text (binary)",
        "vide.html": "has no text in the page",
        "abime.pdf": "is a damaged PDF",
        "image.pdf": "has no text layer: needs OCR",
        "abime.docx": "is damaged or not a Word document",
        "ancien.docx": word,
        "photo.png": f"unsupported format .png {known}",
        "LISEZMOI": f"no file suffix {known}",
        "dossier.md": "is a folder",
        "casse.md": "is a broken link",
        "long.txt": "is too large: 1.0 MB, the limit is 0.5 MB",
        "tuyau.txt": "is not a regular file",
    }
    assert reason(tmp_path / "absent.md") == "does not exist"


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.md"
    path.write_text("Texte.")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    # Tests may run as root, whom no file refuses.
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert reason(path) == "permission denied"


def test_read_folder(tmp_path: Path) -> None:
    folder, other = tmp_path / "notes", tmp_path / "autres"
    for name in ("b.md", "a/z.md", "a/y.txt", ".caché/x.md", "a/.x.md", "~$b.docx", "e\u0301.md"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n\nTexte.")
    (folder / "image.png").write_bytes(b"x")  # an attachment, no document
    (folder / "table.csv").write_bytes(b"x")
    (folder / "boucle").symlink_to(".")
    other.mkdir()
    (other / "b.md").write_text("Autre.")
    (other / "seul.md").write_text("Seul.")
    results = list(read_folder([folder, other / "b.md", other / "seul.md", tmp_path / "rien"]))
    assert [
        each.doc_id if isinstance(each, Document) else (each.path, each.reason.split(" (")[0])
        for each in results
    ] == [
        "a/y.txt",
        "a/z.md",
        "b.md",
        ("boucle", "is a link to a folder"),
        ("table.csv", "unsupported format .csv"),
        "é.md",
        ("b.md", f"has the same name as {folder / 'b.md'}, which was read first"),
        "seul.md",
        ("rien", "does not exist"),
    ]


def test_read_folder_survives_the_unforeseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.md").write_text("Texte.")

    def fail(*_: object) -> Document:
        raise RecursionError("trop profond")

    monkeypatch.setattr("rag.documents.understand", fail)
    assert list(read_folder([tmp_path])) == [
        Skipped("a.md", "could not be read (RecursionError: trop profond)")
    ]


def test_identity() -> None:
    document = parse("Te\u0301xte.\r\n", "x.txt", format="text")
    assert document.text == "Téxte.\n"
    # sha256("Téxte.\n")
    assert document.content_hash == parse("Téxte.\n", "y.txt", format="text").content_hash
    assert document.title == "X"
