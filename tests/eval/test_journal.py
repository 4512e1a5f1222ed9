from __future__ import annotations

from pathlib import Path

import pytest

from eval.journal import Journal
from rag.errors import DatasetError


def test_records_are_kept_until_removed(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", {"a": 1}) as journal:
        journal.add({"id": "é", "x": [1.5, None]})
    with Journal(tmp_path / "j", {"a": 1}) as journal:
        assert journal.records == {"é": {"id": "é", "x": [1.5, None]}}
        journal.remove()
    assert list((tmp_path / "j").glob("*.jsonl")) == []


def test_two_runs_of_the_same_questions_do_not_mix(tmp_path: Path) -> None:
    with Journal(tmp_path, {}), pytest.raises(DatasetError, match="by another run"):
        Journal(tmp_path, {})
    with Journal(tmp_path, {}) as journal:
        assert journal.records == {}


def test_a_line_that_was_cut_is_dropped_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        journal.add({"id": "a"})
        journal.add({"id": "b", "text": "long enough to be cut"})
    journal.path.write_bytes(journal.path.read_bytes()[:-10])
    with Journal(tmp_path, {}) as journal:
        assert journal.records == {"a": {"id": "a"}}
        journal.add({"id": "c"})
    with Journal(tmp_path, {}) as journal:
        assert list(journal.records) == ["a", "c"]


def test_a_configuration_has_its_own_file(tmp_path: Path) -> None:
    with Journal(tmp_path, {"code": "1"}) as one, Journal(tmp_path, {"code": "2"}) as two:
        one.add({"id": "a"})
        assert one.path != two.path
    with Journal(tmp_path, {"code": "2"}) as journal:
        assert journal.records == {}


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot be written"):
        Journal(tmp_path / "file" / "below", {})
