"""Generations on disk: what changes, what is kept, what is refused."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray

from rag import documents as sources
from rag.config import Settings
from rag.errors import (
    CitadelleError,
    IndexBusy,
    IndexDamaged,
    IndexLoss,
    IndexMismatch,
    IndexMissing,
    Message,
    NothingToIndex,
)
from rag.generations import current_generation, damage, read_manifest, writer_of, writing
from rag.index import Index
from rag.indexing import build_index, is_stale
from rag.types import Skipped
from tests.conftest import ToyEncoder, cosine

# What concerns the files of an index that no server holds.
alone = pytest.mark.parametrize("settings", ["folder"], indirect=True)


@pytest.fixture(params=["folder", "server"])
def settings(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Return settings whose index is in a folder, then settings whose index is on a server."""
    if request.param == "folder":
        return settings
    place = {
        "chroma_url": request.getfixturevalue("chroma").url,
        "chroma_database": f"test-{secrets.token_hex(8)}",
    }
    return settings.model_copy(update=place)


def build(settings: Settings, encoder: ToyEncoder):  # type: ignore[no-untyped-def]
    return build_index([settings.corpus], settings, encoder)


def test_first_build_adds_everything(settings: Settings, toy: ToyEncoder) -> None:
    report = build(settings, toy)
    assert report.added == ("bureau.md", "projet.md")
    assert report.replaced == report.removed == report.unchanged == report.skipped == ()
    index = Index.open(settings, toy)
    assert set(index.documents) == {"bureau.md", "projet.md"}
    assert len(index.chunks) == report.chunks
    for chunk in index.chunks:
        assert index.documents[chunk.doc_id].text[chunk.start : chunk.end] == chunk.text


def test_dense_search_gives_cosines(settings: Settings, toy: ToyEncoder) -> None:
    build(settings, toy)
    index = Index.open(settings, toy)
    (position, score), *_ = index.dense(toy.encode_queries(["Niger"])[0], 3)
    assert index.chunks[position].doc_id == "projet.md"
    # The passage's title names no axis: its vector is that of "Niger" alone, or holds it.
    assert score == pytest.approx(cosine("Niger", "Niger"), abs=1e-5)
    only = index.dense(toy.encode_queries(["Niger"])[0], 9, ["bureau.md"])
    assert {index.chunks[i].doc_id for i, _ in only} == {"bureau.md"}


def test_a_changed_document_alone_is_embedded_again(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    build(settings, toy)
    toy.encoded.clear()
    (folder / "projet.md").write_text("# Le projet\n\nLe projet est fini.\n", encoding="utf-8")
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")
    report = build(settings, toy)
    assert (report.added, report.replaced, report.unchanged) == (
        ("neuf.txt",),
        ("projet.md",),
        ("bureau.md",),
    )
    assert toy.encoded == ["Neuf\nUn document neuf.", "Le projet\nLe projet est fini."]


def test_a_removed_document_leaves(settings: Settings, folder: Path, toy: ToyEncoder) -> None:
    build(settings, toy)
    (folder / "projet.md").unlink()
    assert build(settings, toy).removed == ("projet.md",)
    assert set(Index.open(settings, toy).documents) == {"bureau.md"}


def test_unreadable_files_are_skipped_and_remembered(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    (folder / "vide.md").write_text("")
    (folder / "image.md").write_bytes(bytes(range(256)) * 8)
    (folder / "plan.dwg").write_bytes(b"plan")
    report = build(settings, toy)
    names = {Path(entry.path).name for entry in report.skipped}
    assert names == {"vide.md", "image.md", "plan.dwg"}
    assert len(report.added) == 2
    kept = Index.open(settings, toy).skipped
    assert kept == report.skipped
    # Also what another language is made from.
    for before, after in zip(report.skipped, kept, strict=True):
        assert isinstance(before.reason, Message) and isinstance(after.reason, Message)
        assert before.reason.template == after.reason.template
        assert before.reason.values == after.reason.values
    # What is kept of a reason does not make the index look changed.
    live = current_generation(settings.index)
    build(settings, toy)
    assert current_generation(settings.index) == live


def test_an_index_that_kept_reasons_in_english_alone_is_read(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    (folder / "vide.md").write_text("")
    build(settings, toy)
    live = current_generation(settings.index)
    assert live is not None
    manifest = read_manifest(live)
    manifest["skipped"] = [{"path": "vide.md", "reason": "is empty"}]
    (live / "manifest.json").write_text(json.dumps(manifest))
    assert Index.open(settings, toy).skipped == (Skipped("vide.md", "is empty"),)


def test_no_readable_document_says_why_for_each(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    for file in folder.iterdir():
        file.write_text("")
    with pytest.raises(NothingToIndex) as raised:
        build(settings, toy)
    assert f"{folder}. bureau.md: is empty. projet.md: is empty. Put .docx, " in str(raised.value)


def test_no_readable_document_is_an_error_that_keeps_the_old_index(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    build(settings, toy)
    for path in folder.iterdir():
        path.write_text("")
    with pytest.raises(CitadelleError, match="No document could be read"):
        build(settings, toy)
    assert set(Index.open(settings, toy).documents) == {"bureau.md", "projet.md"}
    with pytest.raises(CitadelleError, match="no file or folder"):
        build_index([folder / "absent"], settings, toy)


def test_a_missing_index_names_the_command(settings: Settings, toy: ToyEncoder) -> None:
    with pytest.raises(IndexMissing, match="citadelle index"):
        Index.open(settings, toy)


@pytest.mark.parametrize("change", ["encoder", "chunk_tokens"])
def test_a_mismatch_names_what_differs_and_the_command(
    settings: Settings, toy: ToyEncoder, change: str
) -> None:
    build(settings, toy)
    if change == "encoder":
        toy.name = "other"
    else:
        settings = settings.model_copy(update={"chunk_tokens": 128})
    with pytest.raises(IndexMismatch, match=f"{change} = .*citadelle index"):
        Index.open(settings, toy)
    build(settings, toy)
    assert Index.open(settings, toy).chunks


def test_one_writer_at_a_time(settings: Settings, toy: ToyEncoder) -> None:
    settings.index.mkdir()
    with FileLock(settings.index / "write.lock"), pytest.raises(IndexBusy):
        build(settings, toy)


def test_the_process_that_writes_is_named(settings: Settings, toy: ToyEncoder) -> None:
    with writing(settings.index.parent), pytest.raises(IndexBusy) as raised:
        build(settings.model_copy(update={"index": settings.index.parent}), toy)
    said = str(raised.value)
    assert f"process {os.getpid()} on {socket.gethostname()}, since 20" in said
    assert Path(sys.argv[0]).name in said
    assert writer_of(settings.index.parent) is None


def test_what_a_dead_process_left_blocks_nothing(settings: Settings, toy: ToyEncoder) -> None:
    settings.index.mkdir()
    (settings.index / "write.lock").write_text("")
    dead = {"pid": 1, "host": "x", "since": "2026-11-22T10:00:00+00:00", "command": "citadelle"}
    (settings.index / "writer.json").write_text(json.dumps(dead))
    assert writer_of(settings.index) is None
    assert len(build(settings, toy).added) == 2
    assert not (settings.index / "writer.json").exists()


def test_a_build_that_fails_leaves_the_live_generation(
    settings: Settings, folder: Path, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(settings, toy)
    live = current_generation(settings.index)
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rag.indexing.seal", fail)
    with pytest.raises(KeyboardInterrupt):
        build(settings, toy)
    assert current_generation(settings.index) == live
    assert [path for path in settings.index.iterdir() if path.is_dir()] == [live]
    assert set(Index.open(settings, toy).documents) == {"bureau.md", "projet.md"}


def test_old_generations_go_and_the_last_one_stays(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    for number in range(4):
        (folder / "neuf.txt").write_text(f"Version {number}.", encoding="utf-8")
        build(settings, toy)
    generations = [path for path in settings.index.iterdir() if path.is_dir()]
    assert len(generations) == 2
    assert current_generation(settings.index) == max(generations)


@alone
@pytest.mark.parametrize("what", ["documents.jsonl", "chunks.jsonl", "chroma", "lexical"])
def test_missing_files_are_damage(settings: Settings, toy: ToyEncoder, what: str) -> None:
    build(settings, toy)
    folder = current_generation(settings.index)
    assert folder is not None
    path = folder / what
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(IndexDamaged, match="citadelle index"):
        Index.open(settings, toy)
    build(settings, toy)
    assert Index.open(settings, toy).chunks


def files_of(generation: Path) -> list[str]:
    return sorted(
        path.relative_to(generation).as_posix()
        for path in generation.rglob("*")
        if path.is_file() and path.stat().st_size
    )


@alone
@pytest.mark.parametrize("how", ["truncated", "flipped", "emptied"])
def test_damage_is_said_in_a_sentence_and_repaired(
    settings: Settings, toy: ToyEncoder, tmp_path: Path, how: str
) -> None:
    build(settings, toy)
    live = current_generation(settings.index)
    assert live is not None
    names = files_of(live)
    assert "chroma/chroma.sqlite3" in names
    assert len(names) > 10
    for name in names:
        path = live / name
        whole = path.read_bytes()
        if how == "flipped":
            # Such bytes in Chroma's files end the process when they are read.
            path.write_bytes(bytes(byte ^ 255 for byte in whole))
        else:
            path.write_bytes(whole[: len(whole) // 2] if how == "truncated" else b"")
        if how == "flipped" and name == "late/codes.bin":
            # Too large to be compared at each opening: a wrong bit moves a score a little.
            assert damage(live, read_manifest(live)) is None
            assert damage(live, read_manifest(live), thorough=True) is not None
        else:
            with pytest.raises(IndexDamaged, match="Run 'citadelle index' to rebuild it") as raised:
                Index.open(settings, toy)
            assert "\n" not in str(raised.value)
        path.write_bytes(whole)
    (live / "chroma" / "chroma.sqlite3").write_bytes(b"damaged")
    toy.encoded.clear()
    build(settings.model_copy(update={"embedding_cache_mib": 0}), toy)
    # Nothing of a damaged generation is taken over.
    assert len(toy.encoded) == 4
    index = Index.open(settings, toy)
    assert index.dense(toy.encode_queries(["Niger"])[0], 1)[0][1] == pytest.approx(1.0, abs=1e-5)


def test_indexing_what_has_not_changed_keeps_the_generation(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    build(settings, toy)
    live = current_generation(settings.index)
    toy.encoded.clear()
    report = build(settings, toy)
    assert (report.unchanged, report.chunks) == (("bureau.md", "projet.md"), 4)
    assert current_generation(settings.index) == live
    # A file with another time is looked at again, or the index would seem out of step for ever.
    os.utime(folder / "bureau.md", (1, 1))
    assert live is not None
    assert is_stale(read_manifest(live))
    build(settings, toy)
    assert current_generation(settings.index) != live
    assert toy.encoded == []


@alone
def test_a_generation_never_changes_and_may_be_read_only(
    settings: Settings, toy: ToyEncoder
) -> None:
    build(settings, toy)
    live = current_generation(settings.index)
    assert live is not None
    manifest = read_manifest(live)
    for _ in range(3):
        index = Index.open(settings, toy)
        index.dense(toy.encode_queries(["Niger"])[0], 1)
        index.close()
        assert damage(live, manifest, thorough=True) is None
    copies = settings.cache / "open"
    assert [path for path in copies.iterdir() if path.is_dir()] == []


@alone
def test_a_lost_pointer_is_damage(settings: Settings, toy: ToyEncoder) -> None:
    build(settings, toy)
    (settings.index / "CURRENT").write_bytes(b"\xff\x00")
    with pytest.raises(IndexDamaged, match="citadelle index"):
        Index.open(settings, toy)
    build(settings, toy)
    assert Index.open(settings, toy).chunks


def test_documents_with_one_text_are_renamed_one_by_one(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text("Le même texte.", encoding="utf-8")
    build(settings, toy)
    (folder / "a.txt").rename(folder / "c.txt")
    (folder / "d.txt").write_text("Le même texte.", encoding="utf-8")
    report = build(settings, toy)
    assert (report.renamed, report.added, report.removed) == ((("a.txt", "c.txt"),), ("d.txt",), ())


@alone
def test_a_manifest_that_is_not_json_is_damage(settings: Settings, toy: ToyEncoder) -> None:
    build(settings, toy)
    folder = current_generation(settings.index)
    assert folder is not None
    (folder / "manifest.json").write_text("{")
    with pytest.raises(IndexDamaged):
        Index.open(settings, toy)


def test_staleness_follows_the_files(settings: Settings, folder: Path, toy: ToyEncoder) -> None:
    build(settings, toy)
    manifest = Index.open(settings, toy).manifest
    assert not is_stale(manifest)
    assert not is_stale(manifest, [folder])
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")
    assert is_stale(manifest)


def test_the_manifest_holds_its_identity(settings: Settings, toy: ToyEncoder) -> None:
    build(settings, toy)
    folder = current_generation(settings.index)
    assert folder is not None
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["encoder"], manifest["dimension"]) == ("toy", toy.dimension)
    assert len(manifest["corpus_hash"]) == 64


def test_folders_that_are_no_generations_are_left_alone(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    for name in ("photos", "20200101", "zzz"):
        (settings.index / name).mkdir(parents=True)
    for number in range(3):
        (folder / "neuf.txt").write_text(f"Version {number}.", encoding="utf-8")
        build(settings, toy)
    assert {"photos", "20200101", "zzz"} <= {path.name for path in settings.index.iterdir()}


def test_a_file_name_that_is_not_utf_8_stops_nothing(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    (folder / os.fsdecode(b"caf\xe9.md")).write_text("Un café.", encoding="utf-8")
    (folder / os.fsdecode(b"z\xe9.xyz")).write_text("?", encoding="utf-8")
    report = build(settings, toy)
    assert len(report.added) == 3
    assert len(Index.open(settings, toy).documents) == 3


def test_hidden_files_do_not_make_an_index_stale(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    build(settings, toy)
    (folder / ".obsidian").mkdir()
    (folder / ".obsidian" / "workspace.json").write_text("{}")
    (folder / "photo.png").write_bytes(b"x")
    assert not is_stale(Index.open(settings, toy).manifest)


WORDS = ("défense", "Bruxelles", "Niger", "certification", "office", "projet", "BCC", "2021")


def edit(folder: Path, chance: random.Random) -> None:
    """Do one of what people do to files."""
    found = sorted(path for path in folder.iterdir() if path.is_file())
    name = folder / f"{chance.randrange(12)}.md"
    what = chance.choice(("write", "write", "change", "remove", "rename", "copy", "touch"))
    some = chance.choice(found)
    if what == "write":
        paragraphs = [
            f"Le {' '.join(chance.choices(WORDS, k=chance.randrange(3, 40)))} est ici."
            for _ in range(chance.randrange(1, 4))
        ]
        heading = f"# {chance.choice(WORDS)}\n\nLe Belgian Cyber Command (BCC) suit.\n\n"
        name.write_text(heading + "\n\n".join(paragraphs) + "\n", encoding="utf-8")
    elif what == "change":
        some.write_text(some.read_text(encoding="utf-8").replace("Le ", "La ", 1) + "\nFin.\n")
    elif what == "remove" and len(found) > 1:
        some.unlink()
    elif what == "rename":
        some.rename(name)
    elif what == "copy":
        shutil.copyfile(some, name)
    elif what == "touch":
        some.touch()


def contents(
    settings: Settings, encoder: ToyEncoder
) -> tuple[dict[str, object], list[NDArray[np.float64]]]:
    """Return what an index holds to the bit, and what to within rounding."""
    index = Index.open(settings, encoder)
    places = range(len(index.chunks))
    found = {
        "documents": index.documents,
        "chunks": index.chunks,
        "sources": index.sources(),
        "skipped": index.skipped,
        "aliases": (index.aliases.groups, index.aliases.acronyms),
        "words": [
            index.lexical.scores(word, language).tolist()
            for word in WORDS
            for language in ("fr", "en", "unknown")
        ],
        "unknown": index.lexical.unknown_words("Le projet Zanzibar de Bruxelles", "fr"),
        "codes": [index.late.codes(i).tolist() for i in places],
        "spans": [index.late.spans(i).tolist() for i in places],
    }
    near = [
        index.vectors(places),
        # Every passage is among the nearest: none was lost or left behind in the graph.
        [sorted(index.dense(vector, 500)) for vector in encoder.encode_queries(WORDS)],
        # With codes and places, all that token by token scores depend on.
        index.late.mean,
        np.concatenate([index.late.lengths[slice(*index.late.place(i))] for i in places]),
    ]
    index.close()
    return found, [np.array(values) for values in near]


@pytest.mark.parametrize("seed", range(6))
def test_an_index_after_any_edits_is_that_built_from_nothing(
    settings: Settings, folder: Path, toy: ToyEncoder, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    build(settings, toy)
    for number in range(6):
        for _ in range(chance.randrange(1, 4)):
            edit(folder, chance)
        build(settings, toy)
        fresh = settings.model_copy(
            update={"index": tmp_path / f"fresh{number}", "embedding_cache_mib": 0}
        )
        build(fresh, toy)
        followed, near = contents(settings, toy)
        anew, near_anew = contents(fresh, toy)
        for part, value in anew.items():
            assert followed[part] == value, part
        for one, other in zip(near, near_anew, strict=True):
            assert one == pytest.approx(other, abs=4e-4)


@alone
def test_the_documents_of_another_version_are_known(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    build(settings, toy)
    age(settings)
    for path in folder.glob("*.md"):
        path.unlink()
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")
    with pytest.raises(IndexLoss, match="2 of the 2 documents"):
        build_index([folder], settings, toy, may_lose="half")


def age(settings: Settings) -> None:
    """Make the live generation one of an earlier format."""
    live = current_generation(settings.index)
    assert live is not None
    manifest = json.loads((live / "manifest.json").read_text(encoding="utf-8"))
    manifest["format"] -= 1
    (live / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_another_title_of_the_same_text_is_taken_up(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    page = "<html><head><title>{}</title></head><body><p>Le fort garde la Meuse.</p></body></html>"
    (folder / "page.html").write_text(page.format("Le fort"), encoding="utf-8")
    build(settings, toy)
    (folder / "page.html").write_text(page.format("La citadelle"), encoding="utf-8")
    build(settings, toy)
    index = Index.open(settings, toy)
    assert index.documents["page.html"].title == "La citadelle"
    (place,) = [i for i, chunk in enumerate(index.chunks) if chunk.doc_id == "page.html"]
    asked = toy.encode_queries(["Meuse"])[0]
    assert place in {position for position, _ in index.dense(asked, 9)}


def test_a_file_that_goes_while_it_is_listed_stops_nothing(
    settings: Settings, folder: Path, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = folder / "parti.txt"
    listed = sources.files
    monkeypatch.setattr(sources, "files", lambda paths: [*listed(paths), gone])
    assert build(settings, toy).added == ("bureau.md", "projet.md")
