"""Runs that a person can hold in their head."""

from __future__ import annotations

from typing import Any

from eval.measures import ITEM_MEASURES
from eval.summary import STAGES, summarise

TEXT = "Le siège est à Bruxelles, en Belgique."


def item(number: int, stage: str, **changes: Any) -> dict[str, Any]:
    """Return an item that ended in a stage; its evidence and its citation overlap in `TEXT`."""
    answerable = stage not in ("rightly_abstained", "wrongly_answered")
    abstained = "abstained" in stage
    right = stage == "right"
    passage = {"doc_id": "note.md", "start": 100, "end": 138, "text": TEXT, "score": 0.9}
    record = {
        "id": f"q{number}",
        "lang": "fr",
        "type": "fact",
        "question": f"Question {number} ?",
        "history": [],
        "answerable": answerable,
        "expected": {
            "doc_id": "note.md" if answerable else "",
            "doc_language": "fr" if answerable else "",
            "answers": ["Bruxelles"] if answerable else [],
            "answer_groups": [],
            "evidence": ["siège est à Bruxelles"] if answerable else [],
            "places": [[103, 124]] if answerable else [],
            "passage": {**passage} if answerable else None,
        },
        "outcome": "error" if stage == "error" else "abstained" if abstained else "answered",
        "error": "Broken: no." if stage == "error" else None,
        "stage": stage,
        "confidence": 0.0 if stage == "error" else 0.3 if abstained else 0.9,
        "correct": right,
        "withheld_correct": None,
        "groups_said": [int(right), 1] if answerable else None,
        "scores": dict.fromkeys(ITEM_MEASURES, float(right) if answerable else None),
        "given": None
        if stage == "error"
        else {
            "text": "Rien." if abstained else "« Bruxelles » [1]",
            "short_answer": "" if abstained else "Bruxelles",
            "abstained": abstained,
            "citations": []
            if abstained
            else [
                {
                    "key": "1",
                    "doc_id": "note.md",
                    "start": 115,
                    "end": 137,
                    "quote": "Bruxelles, en Belgique",
                }
            ],
            "passages": [{**passage, "used": not abstained, "evidence": [0] * answerable}],
            "timings": {"total_ms": 10.0 * number},
        },
        "ranking": [{"chunk_id": "1", "doc_id": "note.md", "start": 100, "end": 138, "score": 1.0}],
    }
    return {**record, **changes}


def run_of(*items: dict[str, Any]) -> dict[str, Any]:
    """Return the run of items."""
    counts, tables = summarise(items)
    return {
        "format": 2,
        "config": {
            "settings": {"corpus": "corpus", "data": "data", "abstain_below": 0.7, "port": 1},
            "encoder": "small",
            "reader": "rules",
            "manifest": {"corpus_hash": "abc", "paths": ["corpus"]},
            "code": {"version": "0.1.0", "sources_sha256": "0123456789"},
            "dataset": {"kind": "gold", "name": "dev.jsonl", "sha256": "fff"},
        },
        "counts": {"quotes_verified": 3, "evidence_not_in_document": [], **counts},
        **tables,
        "items": list(items),
    }


EVERY_STAGE = tuple(item(number, stage) for number, stage in enumerate(STAGES, 1))
