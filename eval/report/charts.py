"""Turn figures into the shapes of charts; nothing here knows of colours or of HTML.

Lengths are in units of the drawing: `WIDTH` by `HEIGHT` for what has axes, and
percent for a bar that lies in its row.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from eval.measures import reliability, risk_coverage

__all__ = [
    "Bar",
    "Curve",
    "Dot",
    "Histogram",
    "Mark",
    "Reliability",
    "Step",
    "Tick",
    "Whisker",
    "bars",
    "duration",
    "funnel",
    "histogram",
    "reliability_diagram",
    "risk_coverage_curve",
    "whisker",
]

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 468, 32, 254
BINS_PER_DECADE = 8
# More points than the chart is wide are no finer, and weigh the page down.
MOST_MARKS = 200
# The radius of the largest dot, so that one in a corner stays clear of the labels; and of the
# smallest that can be pointed at.
LARGEST_DOT, SMALLEST_DOT = 12, 3
_QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a chart and what to say of it."""

    x: float
    y: float
    title: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """A risk-coverage curve; `operating` is where the system stands, if anywhere."""

    points: str
    marks: tuple[Mark, ...]
    operating: Mark | None
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Dot:
    """A group of items in a reliability diagram; `even` is where it would be if calibrated."""

    x: float
    y: float
    even: float
    radius: float
    title: str


@dataclass(frozen=True, slots=True)
class Reliability:
    """Dots over two equal axes; the diagonal goes from corner to corner."""

    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A column of a histogram."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Columns over a logarithmic axis; `lines` are values to point out, by their label."""

    bars: tuple[Bar, ...]
    lines: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What is left after a step and what was lost in it: counts, and percent of the bar."""

    name: str
    left: int
    lost: int
    kept_length: float
    lost_length: float


@dataclass(frozen=True, slots=True)
class Whisker:
    """A value in [0, 1] and its interval, in percent of a line."""

    at: float
    start: float
    length: float


def whisker(value: float, interval: Sequence[float] | None) -> Whisker:
    """Return where a value and its interval lie; without an interval its length is 0."""
    low, high = interval if interval is not None else (value, value)
    return Whisker(_round(100 * value), _round(100 * low), _round(100 * (high - low)))


def funnel(total: int, losses: Sequence[tuple[str, int]]) -> tuple[Step, ...]:
    """Return a step for each loss, in order; every bar is measured against the total."""
    steps, left = [], total
    for name, lost in losses:
        left -= lost
        lengths = [100 * count / total if total else 0.0 for count in (left, lost)]
        steps.append(Step(name, left, lost, _round(lengths[0]), _round(lengths[1])))
    return tuple(steps)


def bars(counts: Mapping[str, int], names: Sequence[str]) -> tuple[Step, ...]:
    """Return a bar for each name, each measured against the sum of all counts."""
    total = sum(counts.values())
    return tuple(
        replace(funnel(total, [(name, total - counts.get(name, 0))])[0], lost=0, lost_length=0.0)
        for name in names
    )


def risk_coverage_curve(
    losses: Sequence[tuple[float, float]], operating: tuple[float, float] | None
) -> Curve:
    """Draw risk over coverage from (confidence, loss) pairs; `operating` is (coverage, risk)."""
    curve = risk_coverage(losses)
    confidences = sorted((confidence for confidence, _ in losses), reverse=True)
    highest = max((risk for _, risk in [*curve, *([operating] if operating else [])]), default=0.0)
    step = 0.05 if highest <= 0.2 else 0.1 if highest <= 0.5 else 0.2
    # A whisker above the top would be one step more for nothing.
    rows = max(1, math.ceil(highest / step - 1e-9))

    def place(coverage: float, risk: float) -> tuple[float, float]:
        x = LEFT + coverage * (RIGHT - LEFT)
        return _round(x), _round(BOTTOM - risk / (rows * step) * (BOTTOM - TOP))

    every = math.ceil(len(curve) / MOST_MARKS)
    marks = [
        Mark(
            *place(coverage, risk),
            f"answering {coverage:.0%} ({index} of {len(curve)}): {risk:.1%} wrong; "
            f"confidence from {confidence:.2f}",
        )
        for index, ((coverage, risk), confidence) in enumerate(
            zip(curve, confidences, strict=True), 1
        )
        if index % every == 0 or index == len(curve)
    ]
    return Curve(
        points=" ".join("{:g},{:g}".format(*place(*point)) for point in curve),
        marks=tuple(marks),
        operating=Mark(*place(*operating)) if operating else None,
        x_ticks=tuple(Tick(place(share, 0)[0], f"{share:.0%}") for share in _QUARTERS),
        y_ticks=tuple(
            Tick(place(0, row * step)[1], f"{row * step:.0%}") for row in range(rows + 1)
        ),
    )


def reliability_diagram(losses: Sequence[tuple[float, float]]) -> Reliability:
    """Draw the share right over the mean confidence of each bin, from (confidence, loss) pairs.

    The area of a dot goes with its number of items.
    """
    bins = reliability(losses)
    most = max((part.count for part in bins), default=0)

    def x(confidence: float) -> float:
        return _round(LEFT + confidence * (RIGHT - LEFT))

    def y(share: float) -> float:
        return _round(BOTTOM - share * (BOTTOM - TOP))

    return Reliability(
        dots=tuple(
            Dot(
                x(part.confidence),
                y(part.right),
                y(part.confidence),
                _round(max(SMALLEST_DOT, LARGEST_DOT * math.sqrt(part.count / most))),
                f"confidence {part.low:.1f} to {part.high:.1f}, on average {part.confidence:.2f}: "
                f"{part.right:.0%} right of {part.count} question{'' if part.count == 1 else 's'}",
            )
            for part in bins
        ),
        x_ticks=tuple(Tick(x(share), f"{share:g}") for share in _QUARTERS),
        y_ticks=tuple(Tick(y(share), f"{share:.0%}") for share in _QUARTERS),
    )


def histogram(values: Sequence[float], lines: Sequence[tuple[str, float]]) -> Histogram | None:
    """Count milliseconds in bins that grow by a constant factor; `None` without any.

    `lines` are (label, milliseconds). A value below 0.1 ms counts as 0.1.
    """
    if not values:
        return None
    bins = Counter(_bin(value) for value in values)
    first, last = min(bins), max(bins) + 1
    step = next(
        size * 10**power
        for power in range(12)
        for size in (1, 2, 5)
        if max(bins.values()) <= 4 * size * 10**power
    )
    rows = math.ceil(max(bins.values()) / step)

    def x(value: float) -> float:
        share = (BINS_PER_DECADE * math.log10(max(value, 0.1)) - first) / (last - first)
        return _round(LEFT + min(1.0, max(0.0, share)) * (RIGHT - LEFT))

    def y(count: int) -> float:
        return _round(BOTTOM - count / (rows * step) * (BOTTOM - TOP))

    bars = []
    for number in sorted(bins):
        low, high = 10 ** (number / BINS_PER_DECADE), 10 ** ((number + 1) / BINS_PER_DECADE)
        top, count = y(bins[number]), bins[number]
        plural = "" if count == 1 else "s"
        title = f"{duration(low)} to {duration(high)}: {count} question{plural}"
        bars.append(Bar(x(low), top, _round(x(high) - x(low)), _round(BOTTOM - top), title))
    low, high = 10 ** (first / BINS_PER_DECADE), 10 ** (last / BINS_PER_DECADE)
    sizes = (1, 2, 5) if last - first <= 2 * BINS_PER_DECADE else (1,)
    ticks = [size * 10.0**power for power in range(-1, 8) for size in sizes]
    return Histogram(
        bars=tuple(bars),
        lines=tuple(Tick(x(value), label) for label, value in lines),
        x_ticks=tuple(Tick(x(t), duration(t)) for t in ticks if low - 1e-9 <= t <= high + 1e-9),
        y_ticks=tuple(Tick(y(row * step), str(row * step)) for row in range(rows + 1)),
    )


def duration(milliseconds: float) -> str:
    """Return a duration for a person: "45 ms", "0.5 ms", "1.2 s"."""
    if milliseconds < 999.5:
        return f"{milliseconds:.2g} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.2g} s" if milliseconds < 9950 else f"{milliseconds / 1000:.0f} s"


def _bin(value: float) -> int:
    # 1,000 is the lower end of its bin, whatever the last digit of its logarithm.
    return math.floor(BINS_PER_DECADE * math.log10(max(value, 0.1)) + 1e-9)


def _round(length: float) -> float:
    return round(length, 1)
