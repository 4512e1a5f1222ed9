"""The published questions are sound: every answer stands in the corpus, word for word."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from eval.dataset import GOLD_LANGUAGES, Item, load_gold, resolve_document
from rag.documents import read_folder
from rag.types import Document

ROOT = Path(__file__).resolve().parent.parent
FILES = ("gold.jsonl", "dev.jsonl")
TYPES = {
    "acronym",
    "date",
    "definition",
    "fact",
    "followup",
    "list",
    "typo",
    "unanswerable",
    "yesno",
}


@pytest.fixture(scope="module")
def corpus() -> dict[str, Document]:
    read = list(read_folder([ROOT / "corpus"]))
    assert all(isinstance(document, Document) for document in read)
    return {document.doc_id: document for document in read if isinstance(document, Document)}


@pytest.fixture(params=FILES)
def items(request: pytest.FixtureRequest) -> tuple[Item, ...]:
    return load_gold(ROOT / "eval" / str(request.param)).items


def test_questions_are_unique(items: tuple[Item, ...]) -> None:
    # A follow-up ("et ça ?") is told apart by what was asked before.
    asked = Counter((item.question.casefold().strip(), item.history) for item in items)
    assert [question for question, times in asked.items() if times > 1] == []


def test_answers_and_evidence_are_verbatim(
    items: tuple[Item, ...], corpus: dict[str, Document]
) -> None:
    missing = []
    for item in items:
        if not item.answerable:
            continue
        document = corpus[resolve_document(item.doc, corpus)]
        texts = (*item.answers, *item.evidence, *sum(item.answer_groups, ()))
        missing += [
            (item.id, text)
            for text in texts
            if text not in document.plain and text not in document.text
        ]
    assert missing == []


def test_every_answer_is_within_evidence(items: tuple[Item, ...]) -> None:
    outside = [
        (item.id, answer)
        for item in items
        for answer in (*item.answers, *sum(item.answer_groups, ()))
        if not any(answer in evidence for evidence in item.evidence)
    ]
    assert outside == []


def test_languages_and_types_are_all_there(items: tuple[Item, ...]) -> None:
    assert {item.lang for item in items} == set(GOLD_LANGUAGES)
    assert {item.type for item in items} == TYPES
    assert all((item.type == "unanswerable") is not item.answerable for item in items)
    assert all((item.type == "yesno") is (item.polarity is not None) for item in items)
    assert all(item.history for item in items if item.type == "followup")


def test_unanswerable_questions_are_at_least_one_in_five(items: tuple[Item, ...]) -> None:
    assert 5 * sum(not item.answerable for item in items) >= len(items)


def test_gold_is_large_enough() -> None:
    assert len(load_gold(ROOT / "eval" / "gold.jsonl").items) >= 90


def test_gold_and_dev_share_no_question() -> None:
    gold, dev = (load_gold(ROOT / "eval" / name).items for name in FILES)
    assert not {item.id for item in gold} & {item.id for item in dev}
    asked = {(item.question.casefold().strip(), item.history) for item in gold}
    assert not asked & {(item.question.casefold().strip(), item.history) for item in dev}
