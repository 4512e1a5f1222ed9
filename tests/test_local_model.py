"""A real language model, tiny and served here: nothing that it makes up reaches the reader."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from rag import Citadelle
from rag.chat_model import Reply
from tests.conftest import ROOT
from tests.local_model import AVAILABLE, open_with, serving_model, shown_wrongly

pytestmark = pytest.mark.skipif(
    not AVAILABLE,
    reason="the wheels with the server and the model exist for Linux on x86-64; see the Makefile",
)

QUESTIONS = ("d002", "d005", "d006")


@pytest.fixture(scope="module")
def citadelle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Citadelle]:
    index = tmp_path_factory.mktemp("index") / "i"
    with serving_model() as address, open_with(address, index) as opened:
        yield opened


def questions() -> list[str]:
    lines = (ROOT / "eval" / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    items: dict[str, Any] = {item["id"]: item for item in map(json.loads, lines)}
    return [items[name]["question"] for name in QUESTIONS]


def test_nothing_that_it_makes_up_is_shown(
    citadelle: Citadelle, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote: list[str] = []
    read = Reply.read

    def listening(self: Reply, seconds: float) -> str | None:
        piece = read(self, seconds)
        wrote.append(piece or "")
        return piece

    monkeypatch.setattr(Reply, "read", listening)
    counts: Counter[str] = Counter()
    for question in questions():
        wrong, happened = shown_wrongly(citadelle, question)
        assert wrong == []
        counts += happened
    assert counts["asked"] == len(QUESTIONS)
    # It did write.
    assert len("".join(wrote).split()) > 10
