"""Files added, taken away and put back: nothing half-written, nothing outside, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from rag import library as module
from rag.config import Settings
from rag.documents import MAX_BYTES, find_file
from rag.errors import LibraryError
from rag.library import TRASH, Added, Library, Upload, safe_name

NOTE = b"Une note sur le fort.\n"
OTHER = b"Une autre note, sur le phare.\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    return Settings(corpus=corpus, data=tmp_path / "data", index=tmp_path / "index")


@pytest.fixture
def library(settings: Settings) -> Library:
    return Library(settings)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def fail(number: int, *args: Any, **_: Any) -> Any:
    raise OSError(number, os.strerror(number))


# --- Names --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("note.md", "note.md"),
        ("../../etc/passwd.txt", "passwd.txt"),
        ("/etc/passwd.txt", "passwd.txt"),
        ("..\\..\\boot.txt", "boot.txt"),
        ("C:\\notes\\a.md", "a.md"),
        ("a:b?.md", "a_b_.md"),
        (".hidden.md", "hidden.md"),
        ("~$note.docx", "note.docx"),
        ("...", ""),
        ("..", ""),
        ("", ""),
        ("/", ""),
        (".md", "md"),
        ("CON.md", "_CON.md"),
        ("nul.tar.txt", "_nul.tar.txt"),
        ("COM¹.txt", "_COM¹.txt"),
        ("lpt9.txt", "_lpt9.txt"),
        ("console.md", "console.md"),
        ("note.md. . ", "note.md"),
        ("note .md", "note.md"),
        ("a\n\tb.md", "a b.md"),
        ("a\x00b.md", "ab.md"),
        # What reads from right to left would show "gpj.md" as "dm.jpg".
        ("gpj\u202e.md", "gpj.md"),
        ("e\u0301te\u0301.md", "\xe9t\xe9.md"),
        ("\udce9a.md", "a.md"),
    ],
)
def test_names_are_made_safe(given: str, kept: str) -> None:
    assert safe_name(given) == kept


def test_a_long_name_is_cut_within_a_letter_of_several_bytes() -> None:
    kept = safe_name("é" * 300 + ".md")
    # 180 bytes less 3 for ".md": 88 letters of two bytes, and one byte to spare.
    assert kept == "é" * 88 + ".md"


# --- Adding -------------------------------------------------------------------------------


def test_files_are_added_and_the_others_refused_with_the_reason(
    library: Library, settings: Settings
) -> None:
    said: list[tuple[str, int, int]] = []
    added = library.add(
        [
            Upload("fort.md", NOTE),
            Upload("vide.md", b""),
            Upload("image.png", b"\x89PNG"),
            Upload("../.x", NOTE),
            Upload("...", NOTE),
            Upload("faux.pdf", b"rien"),
            Upload("gros.txt", b"x" * (MAX_BYTES + 1)),
        ],
        progress=lambda *args: said.append(args),
    )
    assert [(a.doc_id, a.status, a.problem, a.detail) for a in added] == [
        ("fort.md", "added", "", ""),
        ("vide.md", "refused", "unreadable", "is empty"),
        ("image.png", "refused", "format", ".png"),
        ("x", "refused", "format", ""),
        ("", "refused", "name", ""),
        ("faux.pdf", "refused", "unreadable", "is a damaged PDF"),
        ("gros.txt", "refused", "size", "50.0"),
    ]
    assert names(settings.corpus) == ["fort.md"]
    assert (settings.corpus / "fort.md").read_bytes() == NOTE
    assert said[:2] == [("files", 0, 7), ("files", 1, 7)]


def test_a_missing_folder_is_made(library: Library, settings: Settings) -> None:
    settings.corpus.rmdir()
    assert library.state() == "missing"
    library.add([Upload("fort.md", NOTE)])
    assert names(settings.corpus) == ["fort.md"]
    assert library.state() == "writable"


def test_a_taken_name_is_left_replaced_or_kept_beside(library: Library, settings: Settings) -> None:
    library.add([Upload("fort.md", NOTE)])
    assert library.taken(["../fort.md", "phare.md"]) == ("fort.md",)
    assert library.add([Upload("fort.md", NOTE)], "replace") == (
        Added("fort.md", "unchanged", "fort.md"),
    )
    assert library.removed() == ()

    (left,) = library.add([Upload("fort.md", OTHER)])
    assert (left.status, left.problem) == ("refused", "exists")
    assert (settings.corpus / "fort.md").read_bytes() == NOTE

    (beside,) = library.add([Upload("fort.md", OTHER)], "rename")
    assert (beside.status, beside.doc_id) == ("added", "fort (2).md")
    assert names(settings.corpus) == ["fort (2).md", "fort.md"]

    (replaced,) = library.add([Upload("fort.md", OTHER)], "replace")
    assert replaced.status == "replaced"
    assert (settings.corpus / "fort.md").read_bytes() == OTHER
    (before,) = library.removed()
    assert before.replaced and before.file.read_bytes() == NOTE


def test_a_name_that_was_stored_decomposed_is_the_same(
    library: Library, settings: Settings
) -> None:
    decomposed = unicodedata.normalize("NFD", "été.md")
    (settings.corpus / decomposed).write_bytes(NOTE)
    assert library.taken(["été.md"]) == ("été.md",)
    library.add([Upload("été.md", OTHER)], "replace")
    assert names(settings.corpus) == [decomposed]
    assert find_file([settings.corpus], "été.md") == (
        settings.corpus / decomposed,
        settings.corpus,
    )


def test_a_link_is_replaced_and_not_written_through(
    library: Library, settings: Settings, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.md"
    secret.write_bytes(NOTE)
    (settings.corpus / "lien.md").symlink_to(secret)
    (replaced,) = library.add([Upload("lien.md", OTHER)], "replace")
    assert replaced.status == "replaced"
    assert secret.read_bytes() == NOTE
    assert not (settings.corpus / "lien.md").is_symlink()
    assert (settings.corpus / "lien.md").read_bytes() == OTHER


def test_nobody_sees_half_a_file(
    library: Library, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def read(path: Path, doc_id: str) -> None:
        seen.append(names(settings.corpus))
        assert path.read_bytes() == NOTE

    monkeypatch.setattr(module, "read", read)
    library.add([Upload("fort.md", NOTE)])
    # What is there while the file is being looked at is hidden, and is not read by an index.
    ((draft,),) = seen
    assert draft.startswith(".citadelle-")
    assert names(settings.corpus) == ["fort.md"]


def test_two_uploads_of_one_name_at_once_leave_one_whole_file_and_lose_none(
    settings: Settings,
) -> None:
    texts = [f"La note {number}. ".encode() * 2000 for number in range(8)]
    gate = threading.Barrier(len(texts))

    def upload(data: bytes) -> str:
        library = Library(settings)
        gate.wait()
        (added,) = library.add([Upload("fort.md", data)], "replace")
        return added.status

    with ThreadPoolExecutor(len(texts)) as pool:
        statuses = sorted(pool.map(upload, texts))
    assert statuses == ["added", *["replaced"] * 7]
    kept = (settings.corpus / "fort.md").read_bytes()
    earlier = [entry.file.read_bytes() for entry in Library(settings).removed()]
    assert sorted([kept, *earlier]) == texts
    assert names(settings.corpus) == ["fort.md"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_leaves_nothing_behind(
    library: Library, settings: Settings, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write = module._write

    def full(path: Path, data: bytes) -> None:
        if data:
            write(path, data[:3])
            fail(number)
        write(path, data)

    monkeypatch.setattr(module, "_write", full)
    (refused,) = library.add([Upload("fort.md", NOTE)])
    assert (refused.status, refused.problem) == ("refused", "disk")
    assert refused.detail == os.strerror(number).lower()
    assert names(settings.corpus) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(
    library: Library, settings: Settings, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(module, "_write", lambda path, data: fail(number))
    with pytest.raises(LibraryError) as raised:
        library.add([Upload("fort.md", NOTE)])
    message = str(raised.value)
    assert str(settings.corpus) in message and os.strerror(number).lower() in message
    assert "\n" not in message and "nothing was added" in message
    assert names(settings.corpus) == []


def test_a_folder_without_the_right_to_write_is_told_before(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert library.state() == "read-only"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert library.state() == "unreadable"


def test_what_a_killed_process_left_is_swept_away(library: Library, settings: Settings) -> None:
    old, new = settings.corpus / ".citadelle-old.md", settings.corpus / ".citadelle-new.md"
    old.write_bytes(NOTE)
    new.write_bytes(NOTE)
    yesterday = time.time() - 2 * 24 * 3600
    os.utime(old, (yesterday, yesterday))
    library.add([Upload("fort.md", NOTE)])
    assert names(settings.corpus) == [".citadelle-new.md", "fort.md"]


def test_a_file_that_breaks_its_reader_does_not_stop_the_others(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, doc_id: str) -> None:
        if doc_id == "a.md":
            raise ValueError("odd")

    monkeypatch.setattr(module, "read", read)
    one, two = library.add([Upload("a.md", NOTE), Upload("b.md", NOTE)])
    assert (one.problem, one.detail) == ("unreadable", "could not be read (ValueError: odd)")
    assert two.status == "added"


# --- Which folder -------------------------------------------------------------------------


def test_files_go_where_the_index_looks(settings: Settings, tmp_path: Path) -> None:
    notes, file = tmp_path / "notes", tmp_path / "seul.md"
    notes.mkdir()
    file.write_bytes(NOTE)
    assert Library(settings, [notes, settings.corpus]).folder == settings.corpus
    assert Library(settings, [file, notes]).folder == notes
    # No folder is read beside single files: what was put there would never be found.
    single = Library(settings.model_copy(update={"corpus": file}), [file])
    assert single.state() == "file"
    with pytest.raises(LibraryError, match="single file"):
        single.add([Upload("fort.md", NOTE)])


# --- Taking away and putting back ---------------------------------------------------------


def test_a_document_is_taken_away_and_put_back(library: Library, settings: Settings) -> None:
    (settings.corpus / "forts").mkdir()
    file = settings.corpus / "forts" / "fort.md"
    file.write_bytes(NOTE)
    removed = library.remove("forts/fort.md")
    assert not file.exists()
    assert removed.file.read_bytes() == NOTE
    assert removed.file.is_relative_to(settings.data / TRASH)
    assert library.removed() == (removed,)

    file.parent.rmdir()
    assert library.restore(removed.key).doc_id == "forts/fort.md"
    assert file.read_bytes() == NOTE
    assert library.removed() == ()
    assert names(settings.data / TRASH) == []
    with pytest.raises(LibraryError, match="no longer in the trash"):
        library.restore(removed.key)


def test_what_has_the_name_by_now_is_kept_too(library: Library, settings: Settings) -> None:
    library.add([Upload("fort.md", NOTE)])
    first = library.remove("fort.md")
    library.add([Upload("fort.md", OTHER)])
    library.restore(first.key)
    assert (settings.corpus / "fort.md").read_bytes() == NOTE
    (other,) = library.removed()
    assert other.replaced and other.file.read_bytes() == OTHER


def test_the_trash_among_the_documents_is_no_document(settings: Settings) -> None:
    nested = settings.model_copy(update={"data": settings.corpus / "data"})
    library = Library(nested)
    library.add([Upload("fort.md", NOTE)])
    library.remove("fort.md")
    assert find_file(library.paths, "fort.md") is None
    assert find_file(library.paths, f"data/{TRASH}/fort.md") is None


def test_a_copy_to_another_disk_is_a_move(
    library: Library, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add([Upload("fort.md", NOTE)])
    monkeypatch.setattr(Path, "rename", lambda self, target: fail(errno.EXDEV))
    removed = library.remove("fort.md")
    assert names(settings.corpus) == []
    assert sorted(path.name for path in removed.file.parent.iterdir()) == ["fort.md", "origin.json"]
    library.restore(removed.key)
    assert (settings.corpus / "fort.md").read_bytes() == NOTE


def test_a_trash_that_takes_nothing_leaves_the_file_where_it_is(
    library: Library, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add([Upload("fort.md", NOTE)])
    monkeypatch.setattr(module, "_move", lambda source, target: fail(errno.ENOSPC))
    with pytest.raises(LibraryError, match="it stays where it is"):
        library.remove("fort.md")
    assert (settings.corpus / "fort.md").read_bytes() == NOTE
    assert names(settings.data / TRASH) == []


def test_a_restore_that_fails_midway_leaves_both_files(
    library: Library, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add([Upload("fort.md", NOTE)])
    removed = library.remove("fort.md")
    library.add([Upload("fort.md", OTHER)])
    move = module._move

    def once(source: Path, target: Path) -> None:
        if source == removed.file:
            fail(errno.EIO)
        move(source, target)

    monkeypatch.setattr(module, "_move", once)
    with pytest.raises(LibraryError, match="still lies in"):
        library.restore(removed.key)
    assert (settings.corpus / "fort.md").read_bytes() == OTHER
    assert [entry.key for entry in library.removed()] == [removed.key]
    assert removed.file.read_bytes() == NOTE


@pytest.mark.parametrize("doc_id", ["../secret.md", "/etc/passwd", "", ".", "forts/../fort.md"])
def test_only_documents_are_taken_away(
    library: Library, settings: Settings, tmp_path: Path, doc_id: str
) -> None:
    (tmp_path / "secret.md").write_bytes(NOTE)
    library.add([Upload("fort.md", NOTE)])
    with pytest.raises(LibraryError, match="no longer there"):
        library.remove(doc_id)
    assert (tmp_path / "secret.md").exists() and names(settings.corpus) == ["fort.md"]


def test_links_do_not_lead_out(library: Library, settings: Settings, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_bytes(NOTE)
    (settings.corpus / "porte").symlink_to(outside)
    with pytest.raises(LibraryError, match="no longer there"):
        library.remove("porte/secret.md")
    # A link to a file is a document; it is the link that goes, and comes back.
    (settings.corpus / "lien.md").symlink_to(outside / "secret.md")
    removed = library.remove("lien.md")
    assert (outside / "secret.md").read_bytes() == NOTE
    assert removed.file.is_symlink()
    library.restore(removed.key)
    assert (settings.corpus / "lien.md").is_symlink()


@pytest.mark.parametrize("name", ["../evil.md", "/evil.md", "porte/evil.md", ""])
def test_nothing_is_put_back_outside(
    library: Library, settings: Settings, tmp_path: Path, name: str
) -> None:
    library.add([Upload("evil.md", NOTE)])
    removed = library.remove("evil.md")
    (tmp_path / "outside").mkdir()
    (settings.corpus / "porte").symlink_to(tmp_path / "outside")
    origin = removed.file.parent / "origin.json"
    origin.write_text(json.dumps(json.loads(origin.read_text()) | {"name": name}))
    with pytest.raises(LibraryError):
        library.restore(removed.key)
    assert not (tmp_path / "evil.md").exists() and names(tmp_path / "outside") == []
    assert removed.file.exists()


@pytest.mark.parametrize("key", ["..", "../../corpus", "", "20261122T000000000000Z-00000000"])
def test_what_is_no_key_is_not_put_back(library: Library, key: str) -> None:
    with pytest.raises(LibraryError, match="no longer in the trash"):
        library.restore(key)


def test_damaged_entries_of_the_trash_are_passed_over(library: Library, settings: Settings) -> None:
    library.add([Upload("fort.md", NOTE), Upload("phare.md", OTHER)])
    library.remove("fort.md")
    good = library.remove("phare.md")
    (bad,) = (entry for entry in library.removed() if entry.key != good.key)
    (bad.file.parent / "origin.json").write_text("[]")
    (settings.data / TRASH / "notes").mkdir()
    assert library.removed() == (good,)


def test_a_file_that_was_named_by_itself_stays(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "seul.md"
    file.write_bytes(NOTE)
    with pytest.raises(LibraryError, match="citadelle index"):
        Library(settings, [file, settings.corpus]).remove("seul.md")
    assert file.exists()


def test_of_two_files_of_one_name_the_one_that_was_read_goes(
    settings: Settings, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "fort.md").write_bytes(b"")
    (settings.corpus / "fort.md").write_bytes(NOTE)
    Library(settings, [notes, settings.corpus]).remove("fort.md")
    assert names(notes) == ["fort.md"] and names(settings.corpus) == []


# --- Rights and order ---------------------------------------------------------------------


def test_a_shared_installation_refuses_every_change(settings: Settings) -> None:
    Library(settings).add([Upload("fort.md", NOTE), Upload("phare.md", NOTE)])
    removed = Library(settings).remove("phare.md")
    closed = Library(settings.model_copy(update={"allow_changes": False}))
    for change in (
        lambda: closed.add([Upload("x.md", NOTE)]),
        lambda: closed.remove("fort.md"),
        lambda: closed.restore(removed.key),
    ):
        with pytest.raises(LibraryError, match="allow_changes"):
            change()
    assert names(settings.corpus) == ["fort.md"]


def test_another_program_that_changes_files_is_waited_for_and_then_named(
    library: Library, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    library.add([Upload("fort.md", NOTE)])
    with FileLock(settings.index / "library.lock"):
        with pytest.raises(LibraryError, match="Another program"):
            library.remove("fort.md")
        (refused,) = library.add([Upload("phare.md", NOTE)])
    assert refused.problem == "disk" and "Another program" in refused.detail
    assert names(settings.corpus) == ["fort.md"]


def test_the_last_change_of_a_file_is_told(library: Library, settings: Settings) -> None:
    library.add([Upload("fort.md", NOTE)])
    os.utime(settings.corpus / "fort.md", (1_000_000_000, 1_000_000_000))
    when = library.changed("fort.md")
    assert when is not None and when.isoformat() == "2001-09-09T01:46:40+00:00"
    assert library.changed("rien.md") is None
    alone = Library(settings, [settings.corpus / "fort.md"])
    assert alone.changed("fort.md") == when and alone.changed("rien.md") is None
    assert library.changed("\0") is None
