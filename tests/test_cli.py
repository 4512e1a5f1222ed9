"""The command line: what it prints, where, and its exit codes."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel

from rag.answering import ABSTENTION, NEAREST, REPLIES
from rag.chat_model import ChatModel
from rag.checkup import examine_disk
from rag.cli import main
from rag.config import Settings, load_settings
from rag.speed import _faster_reading, examine_reading
from rag.verification import Support
from rag.writing import NOTICES
from tests.conftest import CORPUS, ROOT, ToyEncoder
from tests.test_answering import ANSWER_KEYS

COMMANDS = ("index", "ask", "search", "sources", "text", "doctor", "serve")


@dataclass(frozen=True)
class Run:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line on stderr of a command that a user's error stopped."""
        assert (self.code, self.out) == (1, "")
        (line,) = self.err.strip().splitlines()
        assert "Traceback" not in line
        return line


Command = Callable[..., Run]


@pytest.fixture
def toy_encoder(monkeypatch: pytest.MonkeyPatch) -> ToyEncoder:
    encoder = ToyEncoder()
    for module in ("rag.encoder", "rag.pipeline"):
        monkeypatch.setattr(f"{module}.open_encoder", lambda settings, progress=None: encoder)
    return encoder


@pytest.fixture
def citadelle(
    folder: Path,
    tmp_path: Path,
    toy_encoder: ToyEncoder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run a command in this process, in a folder of its own, on two notes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CITADELLE_CORPUS", str(folder))
    monkeypatch.setenv("CITADELLE_INDEX", str(tmp_path / "index"))
    monkeypatch.setenv("CITADELLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CITADELLE_CHUNK_TOKENS", "64")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Run:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["citadelle", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        out, err = capsys.readouterr()
        return Run(exit_.value.code if isinstance(exit_.value.code, int) else 0, out, err)

    return run


# --- Usage --------------------------------------------------------------------------------


def test_help_lists_the_commands(citadelle: Command) -> None:
    run = citadelle("--help")
    assert (run.code, run.err.strip()) == (0, "")
    assert all(f"  {command}" in run.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(citadelle: Command, command: str) -> None:
    run = citadelle(command, "--help")
    assert (run.code, run.err.strip()) == (0, "")
    assert f" {command} [OPTIONS]" in run.out.splitlines()[0]
    assert "--index" in run.out
    assert citadelle(command, "-h").out == run.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("ask",),
        ("ask", "a", "b"),
        ("ask", "--colour", "blue", "question"),
        ("search", "question", "-k", "0"),
        ("search", "question", "-k", "many"),
        ("text",),
        ("serve", "--port", "70000"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(citadelle: Command, arguments: tuple[str, ...]) -> None:
    run = citadelle(*arguments)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("Usage: ")
    assert "Error: " in run.err
    assert "Traceback" not in run.err


def test_the_installed_command_is_this_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"]["citadelle"] == f"{main.__module__}:{main.__name__}"


@pytest.mark.parametrize("arguments", [("index",), ("ask", "Où ?"), ("ask", " "), ("text", "x")])
def test_stderr_holds_nothing_but_the_error(citadelle: Command, arguments: tuple[str, ...]) -> None:
    run = citadelle(*arguments)
    # Where nobody looks at a terminal, no bar is drawn and no blank line is left.
    assert run.err == (run.err.strip() + "\n" if run.code else "")


# --- index --------------------------------------------------------------------------------


def test_index_counts(citadelle: Command, folder: Path, tmp_path: Path) -> None:
    run = citadelle("index")
    assert (run.code, run.err.strip()) == (0, "")
    counts = "2 added, 0 replaced, 0 removed, 0 unchanged, 0 skipped: "
    assert run.out.startswith(counts)
    assert str(tmp_path / "index") in run.out
    (folder / "projet.md").unlink()
    (folder / "bureau.md").write_text("# Le bureau\n\nIl est grand.\n", encoding="utf-8")
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")
    assert citadelle("index", "--json").json == {
        "added": ["neuf.txt"],
        "replaced": ["bureau.md"],
        "renamed": [],
        "removed": ["projet.md"],
        "unchanged": [],
        "skipped": [],
        "chunks": 2,
    }


def test_what_has_not_changed_needs_no_encoder(
    citadelle: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "vide.md").write_text("")
    first = citadelle("index", "--json")
    opened = []
    monkeypatch.setattr("rag.encoder.open_encoder", lambda *_: opened.append(1) or ToyEncoder())
    monkeypatch.setattr("rag.indexing.encoder_name", lambda _: "toy")
    again = citadelle("index", "--json")
    assert (again.json["unchanged"], again.json["chunks"]) == (["bureau.md", "projet.md"], 4)
    assert (again.json["skipped"], again.code) == (first.json["skipped"], 1)
    assert opened == []
    # Another encoder, and a file that changed, need one.
    monkeypatch.setattr("rag.indexing.encoder_name", lambda _: "other")
    assert citadelle("index", "--json").json["chunks"] == 4
    monkeypatch.setattr("rag.indexing.encoder_name", lambda _: "toy")
    (folder / "projet.md").write_text("Le projet est fini.", encoding="utf-8")
    assert citadelle("index", "--json").json["replaced"] == ["projet.md"]
    assert len(opened) == 2


def test_a_plan_says_what_would_change_and_writes_nothing(
    citadelle: Command, folder: Path, tmp_path: Path, toy_encoder: ToyEncoder
) -> None:
    assert citadelle("index", "--dry-run", "--json").json["added"] == ["bureau.md", "projet.md"]
    assert not (tmp_path / "index").exists()
    citadelle("index")
    toy_encoder.encoded.clear()
    held = sorted((tmp_path / "index").rglob("*"))
    (folder / "projet.md").rename(folder / "plan.md")
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")
    (folder / "vide.md").write_text("", encoding="utf-8")
    run = citadelle("index", "--dry-run")
    assert (run.code, run.err.strip()) == (0, "Skipped vide.md: is empty")
    assert run.out.splitlines() == [
        "added     neuf.txt",
        "renamed   projet.md -> plan.md",
        "1 added, 0 replaced, 1 renamed, 0 removed, 1 unchanged, 1 skipped; nothing was written.",
    ]
    expected = {
        "added": ["neuf.txt"],
        "replaced": [],
        "renamed": [{"from": "projet.md", "to": "plan.md"}],
        "removed": [],
        "unchanged": ["bureau.md"],
        "skipped": [{"path": "vide.md", "reason": "is empty"}],
    }
    assert citadelle("index", "--dry-run", "--json").json == expected
    assert sorted((tmp_path / "index").rglob("*")) == held
    # What is planned is what is done; the passages of the renamed file are not read again.
    assert citadelle("index", "--json").json == {**expected, "chunks": 5}
    assert toy_encoder.encoded == ["Neuf\nUn document neuf."]


def test_losing_most_documents_needs_a_yes(
    citadelle: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")
    citadelle("index")
    (folder / "projet.md").unlink()
    (folder / "neuf.txt").unlink()
    line = citadelle("index").complaint
    assert line.startswith("2 of the 3 documents in the index")
    assert line.endswith("give --yes if they should.")
    assert "asks first" in citadelle("index", "--dry-run").out
    # A person at a terminal is asked.
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert citadelle("index").code == 1
    assert len(citadelle("sources", "--json").json["sources"]) == 3
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert "0 added, 0 replaced, 2 removed, 1 unchanged" in citadelle("index").out


def test_a_folder_that_is_gone_empties_nothing_by_itself(
    citadelle: Command, folder: Path, tmp_path: Path
) -> None:
    citadelle("index")
    folder.rename(tmp_path / "elsewhere")
    assert "2 of the 2 documents" in citadelle("index").complaint
    folder.mkdir()
    assert "2 of the 2 documents" in citadelle("index").complaint
    assert len(citadelle("sources", "--json").json["sources"]) == 2
    assert citadelle("index", "--yes").out.startswith("0 added, 0 replaced, 2 removed")
    assert citadelle("sources", "--json").json["sources"] == []
    assert citadelle("ask", "Où est le bureau ?", "--json").json["abstained"]
    assert citadelle("search", "Où est le bureau ?", "--json").json["hits"] == []


def test_going_back_says_to_which_index(citadelle: Command, folder: Path, tmp_path: Path) -> None:
    assert "There is no index" in citadelle("index", "--rollback").complaint
    citadelle("index")
    assert "no generation" in citadelle("index", "--rollback").complaint
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")
    citadelle("index")
    run = citadelle("index", "--rollback")
    assert run.out.startswith("Back to the index of 20")
    assert ": 2 documents, 4 passages." in run.out
    assert len(citadelle("sources", "--json").json["sources"]) == 2
    assert "source files have changed" in citadelle("doctor").out
    assert citadelle("index", "--json").json["added"] == ["neuf.txt"]
    gone = citadelle("index", "--rollback", "--json").json
    assert gone["live"] < gone["left"]


@pytest.mark.parametrize("together", [("--watch", "--dry-run"), ("--rollback", "corpus")])
def test_options_that_exclude_each_other(citadelle: Command, together: tuple[str, ...]) -> None:
    assert citadelle("index", *together).code == 2


def test_index_names_what_it_cannot_read_and_indexes_the_rest(
    citadelle: Command, folder: Path
) -> None:
    (folder / "vide.md").write_text("", encoding="utf-8")
    (folder / "table.xlsx").write_bytes(b"PK")
    run = citadelle("index")
    assert run.code == 1
    assert run.out.startswith("2 added, 0 replaced, 0 removed, 0 unchanged, 2 skipped: ")
    assert run.err.strip().splitlines() == [
        "Skipped table.xlsx: unsupported format .xlsx "
        "(supported: .md, .markdown, .txt, .html, .htm, .pdf, .docx)",
        "Skipped vide.md: is empty",
    ]
    again = citadelle("index", "--json")
    assert again.code == 1
    assert again.json["unchanged"] == ["bureau.md", "projet.md"]
    assert [entry["path"] for entry in again.json["skipped"]] == ["table.xlsx", "vide.md"]
    assert citadelle("sources", "--json").json["skipped"] == again.json["skipped"]


def test_index_takes_files_and_folders(citadelle: Command, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "autre.txt"
    other.write_text("Un autre document.", encoding="utf-8")
    run = citadelle("index", other, folder / "projet.md", "--json", "--index", tmp_path / "i2")
    assert run.json["added"] == ["autre.txt", "projet.md"]
    assert not (tmp_path / "index").exists()


def test_a_path_that_does_not_exist(citadelle: Command, tmp_path: Path) -> None:
    line = citadelle("index", tmp_path / "absent").complaint
    assert line == f"There is no file or folder {tmp_path / 'absent'}; nothing was indexed."


def test_nothing_readable(citadelle: Command, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert "No document could be read" in citadelle("index", tmp_path / "none").complaint


def test_an_index_that_cannot_be_written(citadelle: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in citadelle("index", "--index", tmp_path / "file").complaint


# --- ask, search, sources, text -----------------------------------------------------------


def test_ask_prints_the_answer_and_its_sources(citadelle: Command) -> None:
    run = citadelle("ask", "Pourquoi la certification ?")
    assert (run.code, run.err.strip()) == (0, "")
    first, *rest = run.out.splitlines()
    assert first.replace("\u00a0", " ").startswith("Selon « Le bureau » :")
    assert any(line.startswith("[1] Le bureau > Missions (bureau.md, ") for line in rest)


def test_ask_as_json(citadelle: Command) -> None:
    value = citadelle("ask", "Pourquoi la certification ?", "--json").json
    assert list(value) == ANSWER_KEYS
    text = citadelle("text", "bureau.md").out
    for citation in value["citations"]:
        assert text[citation["start"] : citation["end"]] == citation["quote"]
    assert value["citations"]
    assert list(value["timings"]) == ["retrieve_ms", "read_ms", "total_ms"]


def test_ask_abstains_with_exit_code_0(citadelle: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITADELLE_ABSTAIN_BELOW", "1")
    run = citadelle("ask", "Why is there certification?")
    assert (run.code, run.err.strip()) == (0, "")
    lines = run.out.splitlines()
    assert lines[0] == ABSTENTION["en"]
    # Hints first, then what was found, which is no answer.
    assert lines[1].startswith("- Name what you are looking for in full")
    assert NEAREST["en"] in lines


def test_ask_says_what_a_filter_left_out(
    citadelle: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITADELLE_ABSTAIN_BELOW", "1")
    run = citadelle("ask", "Où dort le zèbre rayé ?", "--filter", "tag=projet")
    hints = [line for line in run.out.replace("\u00a0", " ").splitlines() if line[:2] == "- "]
    assert hints[0] == "- Un filtre a limité la recherche à 1 des 2 documents ; essayez sans lui."
    assert hints[1] == "- Aucun document ne contient « dort » ni « zèbre » ni « rayé »."
    assert len(hints) == 3


def test_a_courtesy_is_one_line(citadelle: Command) -> None:
    run = citadelle("ask", "Bonjour !")
    assert (run.code, run.out.splitlines()) == (0, [REPLIES["greeting"]["fr"]])
    value = citadelle("ask", "Quels documents as-tu ?", "--json").json
    assert list(value) == ANSWER_KEYS
    assert (value["mode"], value["abstained"], value["confidence"]) == ("courtesy", False, 1.0)
    assert (value["citations"], value["passages"]) == ([], [])
    assert "« Le bureau », « Le projet »" in value["text"].replace("\u00a0", " ")


def test_ask_takes_history_and_filters(citadelle: Command) -> None:
    value = citadelle(
        "ask",
        "Et au Niger ?",
        "--history",
        "Où est le projet ?",
        "--filter",
        "tag=projet",
        "--json",
    ).json
    assert value["question"] == "Et au Niger ?"
    assert value["understood"] == "Où est le projet au Niger ?"
    assert {passage["doc_id"] for passage in value["passages"]} == {"projet.md"}
    said = citadelle("ask", "Et au Niger ?", "--history", "Où est le projet ?").out
    assert said.splitlines()[0] == "Understood as: Où est le projet au Niger ?"
    both = citadelle("ask", "Niger ?", "--filter", "tag=projet", "--filter", "pays=Niger")
    assert both.code == 0
    assert "Understood as" not in both.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ask", "Où ?", "--filter", "tag"), "'tag' is not a filter; write key=value"),
        (("ask", "Où ?", "--filter", "tag=absent"), "No document matches the filter tag=absent"),
        (("search", "Où ?", "--filter", "=x"), "is not a filter"),
        (("ask", " ? "), "The question is empty"),
        (("ask", "a" * 20_000), "The question has 20000 characters; at most 2000"),
        (("text", "absent"), "There is no document 'absent'; 'citadelle sources'"),
        (("text", ""), "There is no document ''"),
        (("ask", "Où [bold]?", "--filter", "[red]=[/]"), "the filter [red]=[/];"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else value[0],
)
def test_errors_of_the_user_are_one_line(
    citadelle: Command, arguments: tuple[str, ...], words: str
) -> None:
    citadelle("index")
    assert words in citadelle(*arguments).complaint


@pytest.mark.parametrize("command", [("ask", "Où ?"), ("sources",), ("index",), ("serve",)])
@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("CITADELLE_COLOUR", "blue", "Unknown variable CITADELLE_COLOUR; known settings are:"),
        ("CITADELLE_CHUNK_TOKENS", "9999", "CITADELLE_CHUNK_TOKENS"),
        ("CITADELLE_LANGUAGE", "de", "Setting 'language'"),
    ],
)
def test_settings_that_are_wrong(
    citadelle: Command,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    variable: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(variable, value)
    assert words in citadelle(*command).complaint


def test_a_settings_file_that_is_wrong(citadelle: Command, tmp_path: Path) -> None:
    settings = tmp_path / "citadelle.toml"
    settings.write_text("colour = 'blue'\n")
    assert "Unknown setting 'colour'" in citadelle("sources").complaint
    settings.write_text("colour = \n")
    assert "citadelle.toml is not valid TOML" in citadelle("sources").complaint


def test_no_index_and_no_corpus(
    citadelle: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CITADELLE_CORPUS", str(tmp_path / "absent"))
    line = citadelle("ask", "Où ?", "--index", tmp_path / "none").complaint
    assert f"There is no file or folder {tmp_path / 'absent'}" in line


def test_an_index_made_otherwise_names_the_command(
    citadelle: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    citadelle("index")
    monkeypatch.setenv("CITADELLE_CHUNK_TOKENS", "128")
    assert "citadelle index" in citadelle("ask", "Où ?").complaint


def test_search_explains(citadelle: Command) -> None:
    run = citadelle("search", "le BCX au Niger", "-k", 1, "--explain")
    assert run.code == 0
    assert run.out.startswith("Language of the question: French.\n'bcx' also looked for as ")
    assert "token by token" in run.out and "words: " in run.out
    value = citadelle("search", "le BCX au Niger", "-k", 1, "--explain", "--json").json
    assert {"name": "bcx", "other": "Le bureau"} in value["names"]
    (hit,) = value["hits"]
    parts = hit["explanation"]["parts"]
    assert set(parts) == {"cosine", "late", "words"}
    assert sum(parts.values()) == pytest.approx(hit["score"], abs=3e-4)
    assert {"word", "stands_for", "kind", "bm25"} == set(hit["explanation"]["terms"][0])


@pytest.mark.parametrize("k", [1, 2, 3])
def test_search_prints_k_passages(citadelle: Command, k: int) -> None:
    run = citadelle("search", "Niger", "-k", k)
    assert run.code == 0
    ranks = [line.split(".")[0] for line in run.out.splitlines() if line[:1].isdigit()]
    assert ranks == [str(rank) for rank in range(1, k + 1)]
    value = citadelle("search", "Niger", "-k", k, "--json").json
    assert list(value) == ["query", "language", "hits"]
    assert [hit["rank"] for hit in value["hits"]] == list(range(1, k + 1))
    assert value["hits"][0]["doc_id"] == "projet.md"
    assert set(value["hits"][0]) == {
        "rank",
        "score",
        "dense",
        "late",
        "lexical",
        "relevance",
        "rerank",
        "doc_id",
        "title",
        "heading_path",
        "start",
        "end",
        "text",
    }


def test_sources(citadelle: Command) -> None:
    run = citadelle("sources")
    assert run.code == 0
    assert [line.split()[0] for line in run.out.splitlines()] == [
        "Document",
        "bureau.md",
        "projet.md",
    ]
    value = citadelle("sources", "--json").json
    assert value["skipped"] == []
    bureau, projet = value["sources"]
    assert (bureau["doc_id"], bureau["title"], bureau["language"]) == (
        "bureau.md",
        "Le bureau",
        "fr",
    )
    assert bureau["metadata"]["tags"] == ["bureau"]
    assert projet["metadata"]["pays"] == "Niger"
    assert projet["characters"] == len(citadelle("text", "projet").out)


def test_text_is_the_canonical_text_and_nothing_else(citadelle: Command, folder: Path) -> None:
    for name in ("bureau.md", "projet.md"):
        assert citadelle("text", name).out == (folder / name).read_text(encoding="utf-8")
        assert citadelle("text", name[:3]).out == citadelle("text", name).out
    (folder / "sans.txt").write_text("[bold]Sans fin de ligne", encoding="utf-8")
    citadelle("index")
    assert citadelle("text", "sans.txt").out == "[bold]Sans fin de ligne"


def test_text_is_utf_8_whatever_the_console(
    citadelle: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "cible.txt").write_text("La cible 🎯 est là.", encoding="utf-8")
    written = io.BytesIO()
    # A console or a pipe with a code page of its own, which has no such character.
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))
        run = citadelle("text", "cible")
        sys.stdout.flush()
        assert written.getvalue().decode("utf-8") == "La cible 🎯 est là."
    assert run.code == 0


def test_a_pipe_that_closes_early_is_no_error(
    citadelle: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    citadelle("index")

    class Closed(io.StringIO):
        """What `citadelle text … | head` leaves to write to."""

        def write(self, _: str) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

        def fileno(self) -> int:
            return file.fileno()

    with (tmp_path / "pipe").open("w") as file, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Closed())
        run = citadelle("text", "bureau.md")
    assert (run.code, run.err.strip()) == (0, "")


# --- doctor and serve ---------------------------------------------------------------------


def test_doctor_finds_nothing_wrong(
    citadelle: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CITADELLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("os.getloadavg", lambda: (0.5, 0.5, 0.5), raising=False)
    citadelle("index")
    run = citadelle("doctor")
    assert run.code == 0
    assert all(line.startswith("ok    ") for line in run.out.splitlines())
    checks = citadelle("doctor", "--json").json["checks"]
    assert [check["name"] for check in checks] == [
        "Python",
        "Packages",
        "Machine",
        "Settings",
        "Cache",
        "Embeddings",
        "Disk",
        "Writer",
        "Files",
        "Generation",
        "Encoder",
        "Counts",
        "Index",
        "Opening",
        "Reader",
        "Search",
        "Answering",
    ]
    assert all(check["ok"] and not check["slow"] for check in checks)


def test_doctor_says_what_to_do_about_what_is_slow(
    citadelle: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "weights.bin").write_bytes(b"0" * (2 << 20))
    monkeypatch.setenv("CITADELLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("os.getloadavg", lambda: (1000.0, 0.0, 0.0), raising=False)
    for limit in ("_ENCODER_SECONDS", "_INDEX_SECONDS", "_SEARCH_MS", "_READ_MS_A_PASSAGE"):
        monkeypatch.setattr(f"rag.speed.{limit}", -1.0)
    monkeypatch.setattr("rag.speed._DISK_MIB_A_SECOND", float("inf"))
    citadelle("index")
    run = citadelle("doctor")
    # Slow is not wrong.
    assert run.code == 0
    slow = [line for line in run.out.splitlines() if line.startswith("slow  ")]
    assert [line.removeprefix("slow  ").partition(":")[0] for line in slow] == [
        "Machine",
        "Reading",
        "Encoder",
        "Opening",
        "Search",
        "Answering",
    ]
    remedies = ("stop them", "'cache'", "'cache'", "'index'", "'candidates'", "'read_passages'")
    assert all(remedy in line for remedy, line in zip(remedies, slow, strict=True))
    monkeypatch.setenv("CITADELLE_RERANKER", "absent")
    settings = load_settings()
    assert "'reranker'" in _faster_reading(settings)


def test_doctor_finds_a_file_that_has_changed(
    citadelle: Command, folder: Path, tmp_path: Path
) -> None:
    citadelle("index")
    (codes,) = (tmp_path / "index").rglob("codes.bin")
    data = bytearray(codes.read_bytes())
    data[0] ^= 1
    codes.write_bytes(data)
    run = citadelle("doctor")
    assert run.code == 1
    (line,) = [line for line in run.out.splitlines() if line.startswith("wrong")]
    assert line.startswith("wrong Files: late/codes.bin has changed")
    assert "citadelle index" in line
    citadelle("index")
    assert citadelle("doctor").code == 0
    shutil.rmtree(folder)
    assert "wrong Sources" in citadelle("doctor").out


def test_doctor_names_what_is_wrong(
    citadelle: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = citadelle("doctor", "--json")
    assert missing.code == 1
    (wrong,) = [check for check in missing.json["checks"] if not check["ok"]]
    assert wrong["name"] == "Index"
    assert "citadelle index" in wrong["detail"]
    (folder / "vide.md").write_text("", encoding="utf-8")
    citadelle("index")
    skipped = citadelle("doctor")
    assert (skipped.code, "wrong Document: vide.md: is empty" in skipped.out) == (1, True)
    monkeypatch.setenv("CITADELLE_PORT", "0")
    assert "wrong Settings" in citadelle("doctor").out


# --- A language model ---------------------------------------------------------------------


class Verbatim:
    """Support a statement by a passage in which it stands."""

    def verify(
        self, statement: str, passages: Sequence[tuple[str, str]], *, question: str = ""
    ) -> Support:
        held = any(statement.removesuffix(".") in body for _, body in passages)
        return Support(held, 0.9 if held else 0.1, () if held else ("meaning",))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let a model that always writes the same stand in for the one that is named."""

    def write(text: str) -> None:
        def opened(settings: Settings) -> ChatModel:
            return ChatModel(FakeListChatModel(responses=[text]), settings.llm)

        monkeypatch.setattr("rag.writing.open_chat_model", opened)
        monkeypatch.setattr("rag.pipeline.open_verifier", lambda settings, encoder: Verbatim())

    return write


WRITTEN = "Le bureau est à Bruxelles [1]. Il est à Gand [1]. Il compte douze personnes [1]."
BUREAU = "Pourquoi la certification ?"


def test_ask_prints_what_a_model_wrote_and_what_it_rests_on(
    citadelle: Command, model: Callable[[str], None]
) -> None:
    citadelle("index")
    model(WRITTEN)
    run = citadelle("ask", "--llm", "ollama:small", BUREAU)
    assert run.code == 0
    first, *others = map(str.rstrip, run.out.splitlines())
    assert first == "Le bureau est à Bruxelles [1]. Il compte douze personnes [2]."
    assert "    Le bureau est à Bruxelles." in others
    assert "    Il compte douze personnes." in others
    assert others[-1] == "Taken away, not supported: Il est à Gand."
    record = citadelle("ask", "--llm", "ollama:small", "--json", BUREAU).json
    assert list(record) == [*ANSWER_KEYS, "model", "removed"]
    assert (record["mode"], record["model"]) == ("written", "ollama:small")
    assert record["text"] == first
    assert record["removed"] == ["Il est à Gand."]
    assert {"write_ms", "first_sentence_ms"} < set(record["timings"])


def test_ask_says_why_it_quotes(citadelle: Command, model: Callable[[str], None]) -> None:
    citadelle("index")
    model("Il est à Gand [1].")
    run = citadelle("ask", "--llm", "ollama:small", BUREAU)
    assert run.code == 0
    assert run.err.strip() == NOTICES["unsupported"]["fr"]
    assert run.out.startswith("Selon «")
    record = citadelle("ask", "--llm", "ollama:small", "--json", BUREAU).json
    assert (record["mode"], record["notice"]) == ("extractive", NOTICES["unsupported"]["fr"])
    assert "model" not in record


def test_ask_without_the_model_or_beside_it(
    citadelle: Command, model: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    citadelle("index")
    model(WRITTEN)
    monkeypatch.setenv("CITADELLE_LLM", "ollama:small")
    written = citadelle("ask", BUREAU).out
    quoted = citadelle("ask", "--no-llm", BUREAU).out
    assert written.startswith("Le bureau est à Bruxelles [1].")
    assert quoted.startswith("Selon «")
    assert citadelle("ask", "--compare", BUREAU).out == f"{written}\n{quoted}"
    assert citadelle("ask", "--no-llm", "--compare", BUREAU).code == 2
    assert citadelle("ask", "Bonjour").out.strip() == REPLIES["greeting"]["fr"]
    # What is not found is not asked of the model.
    monkeypatch.setenv("CITADELLE_ABSTAIN_BELOW", "1")
    assert citadelle("ask", BUREAU).out.startswith(ABSTENTION["fr"])


def test_doctor_tries_the_model(
    citadelle: Command, model: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    citadelle("index")
    monkeypatch.setenv("CITADELLE_LLM", "ollama:small")
    model("Le musée ouvre à 9 heures [1].")
    run = citadelle("doctor")
    assert run.code == 0
    assert re.search(r"^ok    Model: ollama:small, one sentence took .* cites as", run.out, re.M)
    model("Le musée ouvre à 9 heures.")
    run = citadelle("doctor")
    assert (run.code, "does not cite as asked" in run.out) == (1, True)


def test_a_model_that_is_not_known(citadelle: Command) -> None:
    citadelle("index")
    assert "'provider:model'" in citadelle("ask", "--llm", "small", BUREAU).complaint
    assert "'acme'" in citadelle("ask", "--llm", "acme:small", BUREAU).complaint


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_in_use(citadelle: Command, busy_port: int) -> None:
    line = citadelle("serve", "--port", busy_port).complaint
    assert line.startswith(f"Port {busy_port} on 127.0.0.1 is not free")
    assert "--port" in line


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("readable", [True, False])
def test_serve_prepares_then_hands_over_to_the_page(
    citadelle: Command,
    free_port: int,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    readable: bool,
) -> None:
    started: list[list[str]] = []

    def execv(_: str, command: list[str]) -> None:
        started.append(command)

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setenv("CITADELLE_PORT", "8501")
    if not readable:
        for path in folder.iterdir():
            path.write_text("")
    run = citadelle("serve", "--port", free_port)
    assert run.code == 0
    assert f"http://127.0.0.1:{free_port} " in run.out
    # Without documents the page starts all the same, and says so.
    assert ("No document could be read" in run.err) is not readable
    (command,) = started
    assert command[1:5] == ["-m", "streamlit", "run", str(ROOT / "app.py")]
    assert {
        "--server.address=127.0.0.1",
        "--server.baseUrlPath=",
        f"--server.port={free_port}",
        "--browser.gatherUsageStats=false",
    } <= set(command)
    assert os.environ["CITADELLE_INDEX"] == str(tmp_path / "index")
    assert os.environ["CITADELLE_PORT"] == str(free_port)


# --- As a person runs it ------------------------------------------------------------------


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Run `python -m rag` in a folder of its own, on the documents of the project."""
    work = tmp_path_factory.mktemp("work")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CITADELLE_")}
    environment.update(PYTHONPATH=str(ROOT), CITADELLE_CORPUS=str(CORPUS))

    def run(*arguments: str, **variables: str) -> Run:
        done = subprocess.run(
            [sys.executable, "-m", "rag", *arguments],
            cwd=work,
            env=environment | variables,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    return run


def test_a_first_question_indexes_and_answers(shell: Callable[..., Run]) -> None:
    run = shell("ask", "Who represents Belgium in ECCG?", "--json")
    assert (run.code, run.err.strip()) == (0, "")
    assert list(run.json) == ANSWER_KEYS
    assert "(NCCA-BE)" in run.json["citations"][0]["quote"]


def test_an_error_is_one_line(shell: Callable[..., Run]) -> None:
    run = shell("ask", "Où ?", CITADELLE_COLOUR="blue")
    assert run.complaint.startswith("Unknown variable CITADELLE_COLOUR")


def test_a_file_that_goes_while_the_disk_is_measured_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone.bin"
    gone.write_bytes(b"0" * (4 << 20))
    (tmp_path / "there.bin").write_bytes(b"0" * (2 << 20))
    stat = Path.stat

    def vanishing(path: Path, **options: Any) -> os.stat_result:
        if path == gone:
            raise FileNotFoundError
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", vanishing)
    (finding,) = examine_reading(tmp_path)
    assert finding.ok and "MiB/s" in finding.detail


def test_a_folder_that_goes_while_files_are_counted_is_passed_over(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = settings.cache / "open" / "1234"
    copy.mkdir(parents=True)
    (settings.cache / "there.bin").write_bytes(b"0" * (2 << 20))
    scan = os.scandir

    def vanishing(folder: Any = ".") -> Any:
        if Path(folder) == copy:
            # As its process does when it ends.
            copy.rmdir()
        return scan(folder)

    monkeypatch.setattr(os, "scandir", vanishing)
    (reading,) = examine_reading(settings.cache)
    assert reading.ok and "MiB/s" in reading.detail
    assert not copy.exists()
    copy.mkdir()
    assert next(examine_disk(settings)).detail == f"2.0 MiB in {settings.cache}"
    assert not copy.exists()
