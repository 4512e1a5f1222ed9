from __future__ import annotations

from eval.comparison import compare_runs
from eval.report.figures import Difference, change_since, figure, row_change, row_of
from tests.eval.report.sample import EVERY_STAGE, run_of


def test_figures_are_said_in_their_units() -> None:
    run = run_of(*EVERY_STAGE)
    run["measures"]["overall"] |= {"answer_recall": 0.8364, "AURC": 0.1304, "EM": None}
    run["intervals"]["overall"] |= {"answer_recall": [0.7741, 0.8919], "AURC": None}
    run["measures"]["overall"]["latency_p95_ms"] = 1234.5
    run["intervals"]["overall"]["latency_p95_ms"] = [999.0, 2000.0]
    right = figure(run, "answer_recall")
    assert (right.number, right.words, right.interval, right.interval_words, right.items) == (
        "0.836",
        "83.6%",
        "0.774–0.892",
        "77.4–89.2%",
        6,
    )
    assert (figure(run, "AURC").words, figure(run, "AURC").interval) == ("0.130", "")
    assert figure(run, "latency_p95_ms").words == "1.2 s"
    assert figure(run, "latency_p95_ms").interval_words == "999 ms–2 s"
    run["intervals"]["overall"]["latency_p95_ms"] = [1000.0, 2000.0]
    assert figure(run, "latency_p95_ms").interval_words == "1–2 s"
    assert (figure(run, "EM").number, figure(run, "EM").words) == ("–", "not measured")
    assert figure(run, "R@5", ("lang", "pt")).words == "not measured"


def test_means_over_other_questions_are_not_compared() -> None:
    before, after = run_of(*EVERY_STAGE[1:]), run_of(*EVERY_STAGE)
    comparison = compare_runs(before, after)
    assert change_since(after, "AURC", before, comparison) is None
    assert change_since(after, "AURC", None, None) is None
    row = row_of(comparison, "answer_recall")
    assert row is not None
    assert row_change(row) == Difference("+0.0 points", 0, row)


def test_lower_is_better_where_it_is() -> None:
    before, after = run_of(*EVERY_STAGE), run_of(*EVERY_STAGE)
    before["measures"]["overall"] |= {"AURC": 0.30, "latency_p50_ms": 40.0}
    after["measures"]["overall"] |= {"AURC": 0.25, "latency_p50_ms": 52.0}
    comparison = compare_runs(before, after)
    assert change_since(after, "AURC", before, comparison) == Difference("−0.050", 1, None)
    # What one of the two has not cannot be compared.
    del before["measures"]["overall"]["ECE"]
    assert change_since(after, "ECE", before, comparison) is None
    slower = change_since(after, "latency_p50_ms", before, comparison)
    assert slower == Difference("+12 ms", -1, None)
    assert slower.rising
    # Times of another machine say nothing.
    after["config"]["platform"] = "another"
    assert change_since(after, "latency_p50_ms", before, comparison) is None
