"""Processes killed at any point, full disks, and many at once: the index keeps its answers.

The variable `CROWD_SECONDS` says for how long indexing and reading go on at once.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rag.config import Settings
from rag.errors import CitadelleError
from rag.generations import current_generation
from rag.index import Index
from rag.indexing import build_index
from tests.conftest import ROOT, ToyEncoder

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def crashing(command: str, tmp_path: Path, *numbers: object) -> list[dict[str, Any]]:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "bureau.md").write_text("# Le bureau\n\nLe bureau est à Bruxelles.\n")
    (notes / "projet.md").write_text("# Le projet\n\nLe projet est au Niger.\n")
    arguments = [command, notes, tmp_path / "index", *numbers]
    run = subprocess.run(
        [sys.executable, "-m", "tests.crashing", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
        check=True,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_a_process_killed_anywhere_leaves_a_whole_generation(tmp_path: Path) -> None:
    records = crashing("kill", tmp_path, 50, 4)
    assert sum(record["killed"] for record in records) >= 50
    before = "# Le projet\n\nLe projet 1 est au Niger.\n"
    kept = switched = 0
    for record in records:
        place = record["place"]
        assert "error" not in record, (place, record)
        assert record["documents"]["bureau.md"] == "# Le bureau\n\nLe bureau est à Bruxelles.\n"
        # The generation before, or the new one: nothing in between.
        text = record["documents"]["projet.md"]
        assert text in (before, record["now"]), place
        kept += text == before
        switched += text != before
        assert record["found"] == ["projet.md", text.splitlines()[-1], 1.0], place
        assert record["generation"] in record["left"]
        before = text
    # Some were killed before the new one went live, some after.
    assert kept > 20
    assert switched >= 3
    assert before == records[-1]["now"]
    # The live generation and the one before: nothing that was left half done.
    assert len(records[-1]["left"]) == 2
    assert [p.name for p in (tmp_path / "cache" / "open").iterdir() if p.is_dir()] == []


def test_two_that_index_and_four_that_read_at_once(tmp_path: Path) -> None:
    seconds = float(os.environ.get("CROWD_SECONDS", "10"))
    records = crashing("crowd", tmp_path, seconds)
    assert len(records) == 6
    assert [record["errors"] for record in records] == [[]] * 6
    assert sum(record["built"] for record in records[:2]) >= 3
    for record in records[2:]:
        assert record["opened"] >= 2
        assert record["generations"] >= 2


WRITES = (
    "rag.indexing.write_lines",
    "rag.indexing.LexicalIndex.save",
    "rag.indexing.Aliases.save",
    "rag.indexing.LateWriter.add",
    "rag.indexing.LateWriter.close",
    "rag.store.change_vectors",
    "rag.indexing.Words.save",
    "rag.late.shutil.copyfile",
    "rag.indexing.seal",
    "rag.store.switch",
    "rag.generations._write_writer",
    "rag.vectors.private_copy",
    "rag.embeddings.DataFile.write",
)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("where", WRITES)
def test_a_disk_that_takes_nothing_more(
    settings: Settings,
    folder: Path,
    toy: ToyEncoder,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    code: int,
) -> None:
    build_index([folder], settings, toy)
    live = current_generation(settings.index)
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as full:
        full.setattr(where, refuse)
        if where in ("rag.vectors.private_copy", "rag.embeddings.DataFile.write"):
            # Nothing is taken over or kept, which costs time and no answer.
            assert build_index([folder], settings, toy).added == ("neuf.txt",)
            return
        with pytest.raises(CitadelleError, match=os.strerror(code)) as raised:
            build_index([folder], settings, toy)
    assert "\n" not in str(raised.value)
    assert current_generation(settings.index) == live
    assert [path for path in settings.index.iterdir() if path.is_dir()] == [live]
    assert set(Index.open(settings, toy).documents) == {"bureau.md", "projet.md"}
    assert build_index([folder], settings, toy).added == ("neuf.txt",)
