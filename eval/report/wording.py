"""Say in sentences how a run went, and how a question of it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eval.comparison import Comparison
from eval.report.excerpts import evidence_ranks
from eval.report.figures import row_of

__all__ = ["further", "plural", "question_remarks", "remarks", "share", "verdict"]

Record = Mapping[str, Any]


def verdict(items: Sequence[Record]) -> list[str]:
    """Say in plain sentences how the run went."""
    answerable = [item for item in items if item["answerable"]]
    total, wanted, without = len(items), len(answerable), len(items) - len(answerable)
    if not total:
        return ["No question was asked."]
    stages = Counter(item["stage"] for item in items)
    missed = Counter(item["outcome"] for item in answerable if item["stage"] != "right")
    have = "has" if wanted == 1 else "have"
    sentences = [f"Of {plural(total, 'question')}, {wanted} {have} an answer in the documents."]
    if wanted:
        right, wrong, not_answered = stages["right"], missed["answered"], missed["abstained"]
        sentences.append(
            f"Of {'that one' if wanted == 1 else 'those'}, {_part(right, wanted)} {_were(right)} "
            f"answered right, {wrong} {_were(wrong)} answered wrong and {not_answered} "
            f"{_were(not_answered)} not answered."
        )
    if without:
        turned, vain = stages["rightly_abstained"], stages["wrongly_answered"]
        sentences.append(
            f"Of the {without} that the documents do not answer, {_part(turned, without)} "
            f"{_were(turned)} rightly turned away, and {vain} got an answer all the same."
        )
    if stages["error"]:
        sentences.append(f"{plural(stages['error'], 'question')} ended in an error.")
    return sentences


def further(run: Record, comparison: Comparison | None) -> list[str]:
    """Say what else can be said of a run in a sentence each."""
    sentences = []
    if quotes := run["counts"].get("quotes_verified"):
        stands = "stands" if quotes == 1 else "stand"
        sentences.append(
            f"{plural(quotes, 'citation')} {stands} in the documents letter by letter."
        )
    if (served := row_of(comparison, "served")) is not None:
        sentences.append(
            f"Since the baseline, {plural(served.wins, 'question')} got better and "
            f"{served.losses} got worse."
        )
    return sentences


def remarks(counts: Record) -> list[str]:
    """Say what the figures leave out, and which evidence nothing could have found."""
    excluded = (counts.get("overall") or {}).get("excluded") or {}
    parts = [f"{number} {name.replace('_', ' ')}" for name, number in excluded.items() if number]
    sentences = [f"Not counted: {'; '.join(parts)}."] if parts else []
    if missing := counts.get("evidence_not_in_document"):
        sentences.append(
            "Evidence that does not stand in its document, so can never be found: "
            f"{', '.join(missing)}."
        )
    return sentences


def question_remarks(item: Record) -> Iterator[str]:
    """Say of an item what its fields alone do not: parts said, what was withheld, ranks."""
    said, right = item["groups_said"], item["withheld_correct"]
    if said and said[1] > 1:
        yield f"The answer says {said[0]} of {said[1]} expected parts."
    if item["outcome"] == "abstained" and item["answerable"] and right is not None:
        yield f"The answer that was withheld was {'right' if right else 'wrong'}."
    ranks = evidence_ranks(item)
    found = [str(rank) for rank in dict.fromkeys(ranks) if rank is not None]
    if found:
        what = "some of the" if None in ranks else "the"
        yield f"The search has {what} evidence at rank {', '.join(found)}."
    # The same words may stand in another place, which the measure knows and the ranks do not.
    elif ranks and item["ranking"] and not item["scores"].get("R@10"):
        depth = plural(len(item["ranking"]), "passage")
        yield f"The evidence is not among the first {depth} of the search."


def plural(count: int, noun: str) -> str:
    """Return "1 question", "2 questions"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def share(part: int, whole: int) -> str:
    """Return a share in whole percent; of nothing a dash."""
    return f"{part / whole:.0%}" if whole else "–"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _part(part: int, whole: int) -> str:
    return f"{part}\N{NO-BREAK SPACE}({share(part, whole)})"
