"""The passages that measurements of size and speed use."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT


def data() -> ModuleType:
    spec = importlib.util.spec_from_file_location("data", ROOT / "benchmarks" / "data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Twelve paragraphs of six sentences, each sentence different."""
    for name, language in (("piaf-train.json", "français"), ("xquad.en.json", "English")):
        paragraphs = [
            {
                "context": " ".join(
                    f"La phrase {i} du paragraphe {p} est assez longue, en {language}."
                    for i in range(6)
                )
            }
            for p in range(6)
        ]
        text = json.dumps({"data": [{"paragraphs": paragraphs}]})
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_passages_are_distinct_and_the_same_at_every_run(sets: Path) -> None:
    found = data().distinct_passages(sets, 300)
    assert len(found) == len(set(found)) == 300
    assert found[0].startswith("La phrase 0 du paragraphe 0 ")
    assert data().distinct_passages(sets, 80) == found[:80]


def test_a_passage_is_of_whole_sentences_in_one_language(sets: Path) -> None:
    for passage in data().distinct_passages(sets, 100):
        assert ("English" in passage) != ("français" in passage)
        assert all(s.startswith("La phrase ") for s in passage.rstrip(".").split(". "))


def test_too_few_sentences_are_said(sets: Path) -> None:
    (sets / "xquad.en.json").unlink()
    text = json.dumps({"data": [{"paragraphs": [{"context": "Une seule phrase."}]}]})
    (sets / "piaf-train.json").write_text(text)
    with pytest.raises(ValueError, match="gave 1 distinct passages, not 9"):
        data().distinct_passages(sets, 9)
