"""An index on a real Chroma server: several machines, one that writes, servers that fail."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from rag import chroma_server
from rag.checkup import examine_index, examine_server
from rag.chroma_server import connect
from rag.cli import app
from rag.config import Settings, load_settings
from rag.errors import (
    CitadelleError,
    ConfigurationError,
    IndexBusy,
    IndexDamaged,
    IndexLoss,
    IndexMismatch,
    IndexMissing,
    IndexUnreachable,
)
from rag.generations import current_generation
from rag.index import Index
from rag.indexing import build_index
from rag.pipeline import Citadelle
from rag.store import open_store
from rag.watching import watch
from tests.chroma import ChromaRun, Machine, command
from tests.conftest import ROOT, ToyEncoder

QUESTION = "Que fait le projet avec le Niger ?"


def write(folder: Path, year: int) -> None:
    (folder / "projet.md").write_text(
        f"# Le projet\n\nLe projet avec le Niger a commencé en {year}.\n", encoding="utf-8"
    )


def another(settings: Settings, tmp_path: Path, name: str = "other") -> Settings:
    """Return the settings of a machine with a mirror of its own."""
    return settings.model_copy(update={"index": tmp_path / name, "cache": tmp_path / f"{name}-c"})


def run(what: str, settings: Settings, *more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(what, settings, settings.index.parent / "machine", *more),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=100,
        check=False,
    )


def documents(settings: Settings) -> dict[str, str]:
    index = Index.open(settings, ToyEncoder())
    assert index.dense(ToyEncoder().encode_queries(["Niger"])[0], 1)
    return {name: document.text for name, document in index.documents.items()}


@pytest.fixture
def machines(shared: Settings, tmp_path: Path) -> Iterator[list[Machine]]:
    found = [Machine(shared, tmp_path / f"machine-{number}") for number in range(3)]
    yield found
    for machine in found:
        machine.stop()


def test_one_process_indexes_and_three_others_answer(
    shared: Settings, folder: Path, machines: list[Machine], chroma: ChromaRun, toy: ToyEncoder
) -> None:
    indexed = json.loads(run("index", shared, folder).stdout)
    assert indexed["added"] == ["bureau.md", "projet.md"]
    for machine in machines:
        assert "2021" in machine.ask(QUESTION)["answer"]
    # A newer generation, from a machine that takes the vectors of the other's over.
    write(folder, 2024)
    build_index([folder], shared, toy)
    assert len(toy.encoded) == 1
    for machine in machines:
        assert "2024" in machine.ask(QUESTION)["answer"]
    chroma.stop()
    try:
        for machine in machines:
            record = machine.ask(QUESTION)
            assert record["kind"] == "IndexUnreachable"
            assert f"{chroma.url} does not answer (Connection refused)" in record["error"]
            assert "\n" not in record["error"]
        with pytest.raises(IndexUnreachable, match="start it, or check 'chroma_url'"):
            build_index([folder], shared, toy)
    finally:
        chroma.start()
    for machine in machines:
        assert "2024" in machine.ask(QUESTION)["answer"]


def test_the_files_are_followed_while_the_server_goes_and_comes(
    shared: Settings, folder: Path, toy: ToyEncoder, chroma: ChromaRun
) -> None:
    build_index([folder], shared, toy)
    stop = threading.Event()
    chroma.stop()
    try:
        events = watch([folder], shared, toy, stop, look_ms=50)
        assert isinstance(next(events), IndexUnreachable)
        write(folder, 2024)
    finally:
        chroma.start()
    report = next(events)
    assert not isinstance(report, CitadelleError)
    assert report.replaced == ("projet.md",)
    stop.set()


# --- One writer ---------------------------------------------------------------------------


def test_the_machine_that_writes_is_named_to_others(
    shared: Settings, folder: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    with open_store(another(shared, tmp_path)).writing():
        with pytest.raises(IndexBusy) as raised:
            build_index([folder], shared, toy)
        assert f"process {os.getpid()} on {socket.gethostname()}, since 20" in str(raised.value)
        assert shared.chroma_url in str(raised.value)
        (finding,) = examine_server(shared)
        assert f"process {os.getpid()}" in finding.detail
    assert build_index([folder], shared, toy).chunks == 4


def test_who_was_silent_for_long_has_lost_the_lock_and_changes_nothing(
    shared: Settings,
    folder: Path,
    tmp_path: Path,
    toy: ToyEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build_index([folder], shared, toy)
    write(folder, 2024)
    other = another(shared, tmp_path)

    def take_over(*_: object) -> None:
        monkeypatch.setattr(chroma_server, "STALE_SECONDS", -1.0)
        with open_store(other).writing():
            pass
        monkeypatch.setattr(chroma_server, "STALE_SECONDS", 60.0)

    monkeypatch.setattr(
        chroma_server.ChromaServer,
        "write_files",
        lambda *given, write=chroma_server.ChromaServer.write_files: (write(*given), take_over()),
    )
    with pytest.raises(IndexBusy, match="took over"):
        build_index([folder], shared, toy)
    assert "2021" in documents(other)["projet.md"]
    assert "2021" in documents(shared)["projet.md"]


def test_who_lost_the_lock_does_not_take_it_from_the_next(
    shared: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = connect(shared, make=True)
    with server.writing():
        monkeypatch.setattr(chroma_server, "STALE_SECONDS", -1.0)
        second = server.writing()
        second.__enter__()
        monkeypatch.setattr(chroma_server, "STALE_SECONDS", 60.0)
    assert server.writer() is not None
    second.__exit__(None, None, None)
    assert server.writer() is None


@pytest.mark.parametrize(
    ("place", "year"),
    [("write_vectors", 2021), ("write_files", 2021), ("point", 2021), ("put_away", 2024)],
)
def test_a_writer_that_is_killed_leaves_a_whole_index_and_nothing_for_long(
    shared: Settings,
    folder: Path,
    tmp_path: Path,
    toy: ToyEncoder,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    year: int,
) -> None:
    build_index([folder], shared, toy)
    write(folder, 2024)
    assert run("killed", shared, folder, place).returncode == -9
    assert str(year) in documents(another(shared, tmp_path))["projet.md"]
    with pytest.raises(IndexBusy, match=f"on {socket.gethostname()}, since"):
        build_index([folder], shared, toy)
    # A minute later.
    monkeypatch.setattr(chroma_server, "STALE_SECONDS", -1.0)
    write(folder, 2026)
    build_index([folder], shared, toy)
    assert "2026" in documents(another(shared, tmp_path))["projet.md"]
    names = _collections(shared)
    assert len(names) == 5
    assert [name for name in names if not name.startswith("citadelle-20")] == ["citadelle-live"]


def test_a_server_that_goes_away_during_an_upload_keeps_the_index_before(
    shared: Settings,
    folder: Path,
    tmp_path: Path,
    toy: ToyEncoder,
    chroma: ChromaRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build_index([folder], shared, toy)
    write(folder, 2024)
    send = chroma_server._Pieces._send

    def stop_and_send(pieces: chroma_server._Pieces, size: int) -> None:
        chroma.stop()
        send(pieces, size)

    try:
        with monkeypatch.context() as patched:
            patched.setattr("rag.chroma_server._Pieces._send", stop_and_send)
            with pytest.raises(IndexUnreachable, match="does not answer"):
                build_index([folder], shared, toy)
    finally:
        chroma.start()
    assert "2021" in documents(shared)["projet.md"]
    assert "2021" in documents(another(shared, tmp_path))["projet.md"]
    monkeypatch.setattr(chroma_server, "STALE_SECONDS", -1.0)
    build_index([folder], shared, toy)
    assert "2024" in documents(another(shared, tmp_path))["projet.md"]
    assert len(_collections(shared)) == 5


def test_several_that_share_a_mirror_fetch_it_once(
    shared: Settings,
    folder: Path,
    tmp_path: Path,
    toy: ToyEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build_index([folder], shared, toy)
    fetched: list[str] = []
    fetch = chroma_server.ChromaServer.fetch_files

    def counted(server: chroma_server.ChromaServer, name: str, into: Path) -> None:
        fetched.append(name)
        fetch(server, name, into)

    monkeypatch.setattr(chroma_server.ChromaServer, "fetch_files", counted)
    other = another(shared, tmp_path)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(documents, [other] * 4))
    assert [set(each) for each in found] == [{"bureau.md", "projet.md"}] * 4
    assert len(fetched) == 1


def _collections(settings: Settings) -> list[str]:
    client: Any = connect(settings)._client
    return sorted(collection.name for collection in client.list_collections())


# --- What is on the server, and what is here ----------------------------------------------


def test_going_back_goes_back_on_every_machine(
    shared: Settings, folder: Path, tmp_path: Path, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index([folder], shared, toy)
    write(folder, 2024)
    build_index([folder], shared, toy)
    other = another(shared, tmp_path)
    assert "2024" in documents(other)["projet.md"]
    monkeypatch.setenv("CITADELLE_CHROMA_URL", shared.chroma_url)
    monkeypatch.setenv("CITADELLE_CHROMA_DATABASE", shared.chroma_database)
    monkeypatch.setenv("CITADELLE_INDEX", str(tmp_path / "third"))
    planned = CliRunner().invoke(app, ["index", str(folder), "--dry-run"])
    assert "2 unchanged" in planned.stdout
    back = CliRunner().invoke(app, ["index", "--rollback"])
    assert "2 documents, 4 passages" in back.stdout
    for settings in (other, shared):
        assert "2021" in documents(settings)["projet.md"]
    with pytest.raises(IndexMissing, match=r"before the live one; 'citadelle index'"):
        open_store(shared).roll_back()
    assert build_index([folder], shared, toy).replaced == ("projet.md",)
    assert "2024" in documents(other)["projet.md"]


@pytest.mark.parametrize("name", ["documents.jsonl", "manifest.json", "late/late.npz"])
def test_a_damaged_mirror_is_fetched_again(
    shared: Settings, folder: Path, toy: ToyEncoder, name: str
) -> None:
    build_index([folder], shared, toy)
    live = current_generation(shared.index)
    assert live is not None
    (live / name).write_bytes(b"{")
    assert set(documents(shared)) == {"bureau.md", "projet.md"}
    assert current_generation(shared.index) == live


@pytest.mark.parametrize("part", ["vectors", "files"])
def test_what_the_server_lost_is_said_and_made_again(
    shared: Settings, folder: Path, tmp_path: Path, toy: ToyEncoder, part: str
) -> None:
    build_index([folder], shared, toy)
    (name,) = [name for name in _collections(shared) if name.endswith(part)]
    connect(shared)._delete(name)
    other = another(shared, tmp_path)
    with pytest.raises(IndexDamaged, match=f"lost the {part} .*Run 'citadelle index'"):
        documents(other)
    build_index([folder], shared, toy)
    assert set(documents(other)) == {"bureau.md", "projet.md"}


def test_a_part_of_an_upload_never_becomes_live(
    shared: Settings,
    folder: Path,
    tmp_path: Path,
    toy: ToyEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build_index([folder], shared, toy)
    write(folder, 2024)
    with monkeypatch.context() as patched:
        patched.setattr(chroma_server, "_PIECE_BYTES", 1000)
        patched.setattr(
            "rag.chroma_server._Pieces._send",
            lambda pieces, size, send=chroma_server._Pieces._send: (
                send(pieces, size),
                pieces._collection.delete(ids=["00000001"]),
            ),
        )
        with pytest.raises(IndexUnreachable, match="only a part"):
            build_index([folder], shared, toy)
    assert "2021" in documents(another(shared, tmp_path))["projet.md"]
    build_index([folder], shared, toy)
    assert "2024" in documents(another(shared, tmp_path))["projet.md"]
    assert len(_collections(shared)) == 5


def test_files_of_many_pieces_arrive_whole(
    shared: Settings,
    folder: Path,
    tmp_path: Path,
    toy: ToyEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chroma_server, "_PIECE_BYTES", 1000)
    build_index([folder], shared, toy)
    assert set(documents(another(shared, tmp_path))) == {"bureau.md", "projet.md"}


def test_what_is_fetched_is_as_private_here_as_what_is_written(
    shared: Settings, folder: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    build_index([folder], shared, toy)
    other = another(shared, tmp_path)
    before = os.umask(0o077)
    try:
        documents(other)
    finally:
        os.umask(before)
    live = current_generation(other.index)
    assert live is not None
    modes = {path.stat().st_mode & 0o077 for path in (live, *live.rglob("*"))}
    assert modes == {0}


def test_files_that_lead_out_of_the_folder_are_refused(
    shared: Settings,
    folder: Path,
    tmp_path: Path,
    toy: ToyEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add = tarfile.TarFile.add

    def outside(archive: tarfile.TarFile, path: Path, name: str, **given: Any) -> None:
        add(archive, path, f"../../{name}", **given)

    monkeypatch.setattr(tarfile.TarFile, "add", outside)
    build_index([folder], shared, toy)
    with pytest.raises(IndexDamaged, match="incomplete"):
        documents(another(shared, tmp_path))
    assert not (tmp_path / "manifest.json").exists()


def test_an_index_moves_to_a_server_and_back(
    settings: Settings, shared: Settings, folder: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    build_index([folder], settings, toy)
    with pytest.raises(IndexMissing, match=f"no index in {shared.chroma_url}"):
        Index.open(shared, toy)
    build_index([folder], shared, toy)
    assert len(documents(another(shared, tmp_path))) == 2
    with pytest.raises(IndexDamaged, match="Run 'citadelle index'"):
        Index.open(settings, toy)
    build_index([folder], settings, toy)
    assert len(documents(settings)) == 2


def test_a_machine_without_the_documents_neither_misses_nor_replaces_them(
    shared: Settings, folder: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    build_index([folder], shared, toy)
    folder.rename(tmp_path / "elsewhere")
    other = another(shared, tmp_path)
    index = Index.open(other, toy)
    assert not Citadelle(other, toy, index).is_stale()
    assert all(finding.ok for finding in examine_index(other, index))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "note.md").write_text("Une note.", encoding="utf-8")
    with pytest.raises(IndexLoss, match=f"2 of the 2 documents in the index in {other.chroma_url}"):
        build_index([mine], other, toy)
    assert len(documents(other)) == 2
    build_index([mine], other, toy, may_lose="all")
    assert set(documents(shared)) == {"note.md"}


def test_a_machine_with_another_encoder_says_so_and_replaces_nothing(
    shared: Settings, folder: Path, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index([folder], shared, toy)
    pointer = connect(shared).pointer()
    toy.name = "other"
    monkeypatch.setattr("rag.pipeline.open_encoder", lambda *_: toy)
    monkeypatch.setattr("rag.pipeline.open_stages", lambda *_: (None, None))
    with pytest.raises(IndexMismatch, match="encoder = toy, the settings say other"):
        Citadelle.open(update=True, **shared.model_dump())
    assert connect(shared).pointer() == pointer


def test_a_server_that_names_a_folder_elsewhere_is_not_followed(
    shared: Settings, folder: Path, toy: ToyEncoder
) -> None:
    build_index([folder], shared, toy)
    collection = connect(shared)._collection("citadelle-live")
    collection.modify(metadata={"live": "../../etc", "before": ""})
    with pytest.raises(IndexDamaged, match="names no generation"):
        Index.open(shared, toy)


def test_doctor_says_what_the_server_has(
    settings: Settings, shared: Settings, folder: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    assert list(examine_server(settings)) == []
    (finding,) = examine_server(shared)
    assert (finding.ok, "has no database" in finding.detail) == (False, True)
    build_index([folder], shared, toy)
    live = current_generation(shared.index)
    assert live is not None
    (finding,) = examine_server(shared)
    assert finding.ok
    assert f"{shared.chroma_url} answers, version " in finding.detail
    assert (
        f"generation {live.name}, the one that is here; none before it; none writes"
        in finding.detail
    )
    (finding,) = examine_server(another(shared, tmp_path))
    assert "which this machine fetches" in finding.detail
    away = shared.model_copy(update={"chroma_url": "http://127.0.0.1:9"})
    (finding,) = examine_server(away)
    assert (finding.ok, "does not answer" in finding.detail) == (False, True)


# --- Servers that are none, or want a key -------------------------------------------------


class Gate(http.server.BaseHTTPRequestHandler):
    """A proxy before Chroma that asks for a key."""

    chroma = ""
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != "Bearer a-key=":
            self._answer(401, b"<h1>Who are you?</h1>")
            return
        answer = httpx.request(
            self.command,
            self.chroma + self.path,
            content=body,
            headers={"Content-Type": "application/json"},
        )
        self._answer(answer.status_code, answer.content)

    do_GET = do_POST = do_PUT = do_DELETE = _pass  # noqa: N815

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def gate(chroma: ChromaRun) -> Iterator[str]:
    handler = type("ThisGate", (Gate,), {"chroma": chroma.url})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_key_goes_in_the_headers_and_is_never_printed(
    shared: Settings, folder: Path, toy: ToyEncoder, gate: str
) -> None:
    given = {**shared.model_dump(), "chroma_url": gate}
    settings = load_settings(**{**given, "chroma_headers": "Authorization=Bearer a-key=; X-A=b"})
    assert settings.header_fields() == {"Authorization": "Bearer a-key=", "X-A": "b"}
    assert "a-key" not in repr(settings)
    build_index([folder], settings, toy)
    assert len(documents(settings)) == 2
    for headers in ("", "Authorization=Bearer wrong-key"):
        wrong = load_settings(**{**given, "chroma_headers": headers})
        with pytest.raises(
            IndexUnreachable, match=r"refuses this machine \(status 401\)"
        ) as raised:
            Index.open(wrong, toy)
        assert "'chroma_headers'" in str(raised.value)
        assert "wrong-key" not in str(raised.value)
    with pytest.raises(ConfigurationError, match="'Name=value'") as refused:
        load_settings(chroma_headers="Bearer a-key")
    assert "a-key" not in str(refused.value)


def test_what_is_no_chroma_server_is_said_to_be_none(settings: Settings, toy: ToyEncoder) -> None:
    class Page(Gate):
        def do_GET(self) -> None:
            self._answer(200, b"<h1>It works!</h1>")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(IndexUnreachable, match=f"{url} does not answer as a Chroma server does"):
        Index.open(settings.model_copy(update={"chroma_url": url}), toy)
    server.shutdown()
    server.server_close()


def test_a_server_that_never_answers_is_not_waited_for(
    settings: Settings, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chroma_server, "_CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(IndexUnreachable, match="no answer in time"):
            Index.open(settings.model_copy(update={"chroma_url": url}), toy)


def test_a_server_that_falls_silent_is_not_waited_for(
    shared: Settings, folder: Path, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index([folder], shared, toy)
    client: Any = connect(shared)._client
    assert client._server._session.timeout.read == chroma_server._ANSWER_SECONDS
    assert client._server._session.timeout.connect == chroma_server._CONNECT_SECONDS
