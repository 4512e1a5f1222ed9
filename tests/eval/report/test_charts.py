from __future__ import annotations

import pytest

from eval.report.charts import (
    Dot,
    Mark,
    Step,
    Tick,
    Whisker,
    bars,
    duration,
    funnel,
    histogram,
    reliability_diagram,
    risk_coverage_curve,
    whisker,
)

# A chart reaches from x = 52 to 468, 416 wide, and from y = 254 up to 32, 222 high.


def test_whisker_is_in_percent() -> None:
    assert whisker(0.84, (0.75, 0.9)) == Whisker(84.0, 75.0, 15.0)
    assert whisker(0.84, None) == Whisker(84.0, 84.0, 0.0)


def test_funnel_takes_each_loss_from_what_was_left() -> None:
    # 8 questions: 2 not read, 6 left, 75%; 1 more lost, 5 left, 62.5%.
    assert funnel(8, [("not_retrieved", 2), ("wrong_span", 1)]) == (
        Step("not_retrieved", 6, 2, 75.0, 25.0),
        Step("wrong_span", 5, 1, 62.5, 12.5),
    )
    assert funnel(0, [("wrong_span", 0)]) == (Step("wrong_span", 0, 0, 0.0, 0.0),)


def test_bars_share_one_total() -> None:
    assert bars({"a": 1, "b": 3}, ("a", "b", "c")) == (
        Step("a", 1, 0, 25.0, 0.0),
        Step("b", 3, 0, 75.0, 0.0),
        Step("c", 0, 0, 0.0, 0.0),
    )


def test_curve_has_exact_places() -> None:
    # By falling confidence: right, wrong, wrong, right: risks 0, 1/2, 2/3, 1/2. The axis goes
    # to 80%, four rows of 20%. x = 52 + 416 * coverage, y = 254 - 222 * risk / 0.8.
    losses = [(0.9, 0.0), (0.2, 0.0), (0.7, 1.0), (0.4, 1.0)]
    curve = risk_coverage_curve(losses, (0.5, 0.5))
    assert curve.points == "156,254 260,115.2 364,69 468,115.2"
    assert curve.operating == Mark(260.0, 115.2)
    assert [mark.title for mark in curve.marks] == [
        "answering 25% (1 of 4): 0.0% wrong; confidence from 0.90",
        "answering 50% (2 of 4): 50.0% wrong; confidence from 0.70",
        "answering 75% (3 of 4): 66.7% wrong; confidence from 0.40",
        "answering 100% (4 of 4): 50.0% wrong; confidence from 0.20",
    ]
    assert curve.x_ticks[1] == Tick(156.0, "25%")
    assert curve.y_ticks == (
        Tick(254.0, "0%"),
        Tick(198.5, "20%"),
        Tick(143.0, "40%"),
        Tick(87.5, "60%"),
        Tick(32.0, "80%"),
    )


@pytest.mark.parametrize(
    ("wrong", "labels"),
    [
        (0, ["0%", "5%"]),
        (1, ["0%", "5%", "10%"]),
        (3, ["0%", "10%", "20%", "30%"]),
        (10, ["0%", "20%", "40%", "60%", "80%", "100%"]),
    ],
)
def test_risk_axis_fits_the_highest_risk(wrong: int, labels: list[str]) -> None:
    # Of ten, the least sure are wrong: the highest risk is that of answering all.
    losses = [(1 - place / 10, float(place >= 10 - wrong)) for place in range(10)]
    assert [tick.label for tick in risk_coverage_curve(losses, None).y_ticks] == labels


def test_long_curve_has_few_marks_and_its_end() -> None:
    curve = risk_coverage_curve([(place / 1000, 0.0) for place in range(1001)], None)
    assert len(curve.marks) <= 201
    assert curve.marks[-1].x == 468.0
    assert curve.points.count(",") == 1001


def test_curve_of_nothing_is_empty() -> None:
    curve = risk_coverage_curve([], None)
    assert (curve.points, curve.marks, curve.operating) == ("", (), None)


def test_reliability_diagram_has_exact_places() -> None:
    # 0.25 and 0.75 on the axis of confidence are x = 156 and 364; half right is y = 143, none
    # 254. The diagonal is at y = 254 - 222 * 0.25 = 198.5 and 87.5. One item has a quarter of
    # the area of four: half the radius.
    diagram = reliability_diagram([(0.75, 0.0), (0.75, 1.0)] * 2 + [(0.25, 1.0)])
    assert diagram.dots == (
        Dot(
            156.0,
            254.0,
            198.5,
            6.0,
            "confidence 0.2 to 0.3, on average 0.25: 0% right of 1 question",
        ),
        Dot(
            364.0,
            143.0,
            87.5,
            12.0,
            "confidence 0.7 to 0.8, on average 0.75: 50% right of 4 questions",
        ),
    )
    assert diagram.x_ticks[0] == Tick(52.0, "0")
    assert diagram.x_ticks[3] == Tick(364.0, "0.75")
    assert diagram.y_ticks[2] == Tick(143.0, "50%")


def test_reliability_diagram_holds_extremes() -> None:
    assert reliability_diagram([]).dots == ()
    # 12 * sqrt(1 / 400) = 0.6 would be too small to point at.
    few, many = reliability_diagram([(0.0, 0.0)] + [(1.0, 0.0)] * 400).dots
    assert (few.x, few.y, few.radius) == (52.0, 32.0, 3.0)
    assert (many.x, many.y, many.radius) == (468.0, 32.0, 12.0)


def test_histogram_has_exact_places() -> None:
    # Bins grow by 10^(1/8). 10 and 12 ms are in the bin from 10 (to 13.3); 100 ms begins the
    # eighth after it. So there are nine bins, each 416 / 9 = 46.2 wide. Counts go up to 2.
    chart = histogram([10.0, 12.0, 100.0], [("p50", 12.0), ("p95", 5000.0)])
    assert chart is not None
    first, last = chart.bars
    assert (first.x, first.y, first.width, first.height) == (52.0, 32.0, 46.2, 222.0)
    assert (last.x, last.y, last.width, last.height) == (421.8, 143.0, 46.2, 111.0)
    assert first.title == "10 ms to 13 ms: 2 questions"
    assert last.title == "100 ms to 133 ms: 1 question"
    # 8 log10(12 / 10) = 0.633 bins from the left; what is beyond the axis stands at its end.
    assert chart.lines == (Tick(81.3, "p50"), Tick(468.0, "p95"))
    assert [tick.label for tick in chart.x_ticks] == ["10 ms", "20 ms", "50 ms", "100 ms"]
    assert chart.y_ticks == (Tick(254.0, "0"), Tick(143.0, "1"), Tick(32.0, "2"))


def test_histogram_holds_extremes() -> None:
    assert histogram([], []) is None
    chart = histogram([0.0, 3_600_000.0], [])
    assert chart is not None
    assert [bar.height for bar in chart.bars] == [222.0, 222.0]
    assert chart.x_ticks[0].label == "0.1 ms"
    many = histogram([50.0] * 250, [])
    assert many is not None
    assert [tick.label for tick in many.y_ticks] == ["0", "100", "200", "300"]


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (0.46, "0.46 ms"),
        (9.94, "9.9 ms"),
        (45.4, "45 ms"),
        (999.4, "999 ms"),
        (999.6, "1 s"),
        (1234, "1.2 s"),
        (9960, "10 s"),
        (61_000, "61 s"),
    ],
)
def test_durations_are_short(milliseconds: float, shown: str) -> None:
    assert duration(milliseconds) == shown
