from __future__ import annotations

from eval.comparison import compare_runs
from eval.report.wording import further, plural, question_remarks, remarks, share, verdict
from tests.eval.report.sample import EVERY_STAGE, item, run_of


def test_verdict_is_in_plain_words() -> None:
    nbsp = "\N{NO-BREAK SPACE}"
    # Right, four failures and an error have an answer: three answered wrong, one abstained.
    assert verdict(EVERY_STAGE) == [
        "Of 8 questions, 6 have an answer in the documents.",
        f"Of those, 1{nbsp}(17%) was answered right, 3 were answered wrong and 1 was not answered.",
        f"Of the 2 that the documents do not answer, 1{nbsp}(50%) was rightly turned away, and 1 "
        "got an answer all the same.",
        "1 question ended in an error.",
    ]
    assert verdict([item(1, "right")]) == [
        "Of 1 question, 1 has an answer in the documents.",
        f"Of that one, 1{nbsp}(100%) was answered right, 0 were answered wrong and 0 were not "
        "answered.",
    ]
    assert verdict([]) == ["No question was asked."]


def test_remarks_say_what_was_left_out() -> None:
    counts = {
        "overall": {"excluded": {"without_timing": 2, "nothing": 0}},
        "evidence_not_in_document": ["a", "b"],
    }
    assert remarks(counts) == [
        "Not counted: 2 without timing.",
        "Evidence that does not stand in its document, so can never be found: a, b.",
    ]
    assert remarks({}) == []


def test_remarks_on_a_question() -> None:
    said = item(1, "wrongly_abstained", groups_said=[1, 3], withheld_correct=True)
    assert list(question_remarks(said)) == [
        "The answer says 1 of 3 expected parts.",
        "The answer that was withheld was right.",
        "The search has the evidence at rank 1.",
    ]
    said["expected"]["places"] = [[103, 124], [103, 110], [500, 510]]
    assert list(question_remarks(said))[-1] == "The search has some of the evidence at rank 1."
    said["expected"]["places"] = [[500, 510]]
    assert list(question_remarks(said))[-1] == (
        "The evidence is not among the first 1 passage of the search."
    )
    # The same words in another place: the measure says that they were found.
    said["scores"] = {**said["scores"], "R@10": 1.0}
    assert len(list(question_remarks(said))) == 2


def test_baseline_is_told_by_questions() -> None:
    before = run_of(item(1, "wrong_span"), item(2, "right"), item(3, "wrong_span"))
    after = run_of(item(1, "right"), item(2, "error"), item(3, "right"))
    assert further(after, compare_runs(before, after)) == [
        "3 citations stand in the documents letter by letter.",
        "Since the baseline, 2 questions got better and 1 got worse.",
    ]
    assert further({"counts": {}}, None) == []


def test_numbers_agree_with_their_nouns() -> None:
    assert [plural(n, "item") for n in (0, 1, 1200)] == ["0 items", "1 item", "1,200 items"]
    assert (share(1, 3), share(0, 0)) == ("33%", "–")
