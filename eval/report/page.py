"""Show a run, or a comparison of two, as one HTML page that needs nothing else.

What comes from a run is only ever passed to the templates, which escape it; and the page
forbids the browser to fetch anything, or to run anything but its own style and script.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eval import summary
from eval.comparison import compare_runs
from eval.report import charts, glossary, wording
from eval.report.excerpts import Passage, passages, stray
from eval.report.figures import Figure, at, change_since, figure, row_change
from eval.report.glossary import Stage
from rag.config import Settings

__all__ = ["comparison_page", "run_page"]

Record = Mapping[str, Any]

SLICE_MEASURES = ("R@1", "R@5", "answer_recall", "citation_precision", "citation_recall")
_MAIN = ("dataset.", "encoder", "reader", "manifest.corpus_hash", "code.", "python", "platform")
_TINTS = 5
# What a baseline has not kept of an item.
_ABSENT: Record = {
    "history": (),
    "expected": {"doc_id": "", "answers": (), "answer_groups": (), "evidence": (), "places": ()},
    "error": None,
    "confidence": None,
    "withheld_correct": None,
    "groups_said": None,
    "given": None,
    "ranking": (),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A pair of languages; `tint` grows with the answer recall, from 0 to 4."""

    items: int
    recall: str
    first: str
    tint: int


@dataclass(frozen=True, slots=True)
class Question:
    """An item, and what is shown of it beside its own fields."""

    item: Record
    number: int
    language: str
    wanted: tuple[str, ...]
    text: str
    short: str
    remarks: tuple[str, ...]
    scores: tuple[tuple[str, str], ...]
    passages: tuple[Passage, ...]
    stray: tuple[Record, ...]
    news: str


@dataclass(frozen=True, slots=True)
class Group:
    """The questions that ended in one stage."""

    stage: Stage
    questions: tuple[Question, ...]

    @property
    def size(self) -> int:
        return len(self.questions)


def run_page(run: Record, baseline: Record | None = None) -> str:
    """Return a run as a page, with what changed since a baseline where there is one."""
    items = _items(run)
    comparison = compare_runs(baseline, run) if baseline is not None else None
    before = {_key(item): item["stage"] for item in (baseline or {}).get("items", ())}
    questions = [_question(number, item, before) for number, item in enumerate(items, 1)]
    groups = [
        Group(stage, tuple(q for q in questions if q.item["stage"] == stage.name))
        for stage in glossary.STAGES
    ]
    columns = _columns(run)
    unanswerable = Counter(item["stage"] for item in items if not item["answerable"])
    failures = [group for group in groups if group.stage.name not in glossary.SERVED]
    configuration = _flat(run["config"])
    operating = summary.operating_point(items)
    points = summary.points(items)
    return _render(
        "run.html",
        run=run,
        verdict=wording.verdict(items),
        further=wording.further(run, comparison),
        headlines=[
            (
                words,
                glossary.measure(name),
                figure(run, name),
                change_since(run, name, baseline, comparison),
            )
            for name, words in glossary.HEADLINES.items()
        ],
        compared=comparison,
        steps=_steps(items),
        unanswerable=charts.bars(unanswerable, ("rightly_abstained", "wrongly_answered", "error")),
        tally=Counter(item["stage"] for item in items),
        places=[(*words, name, figure(run, name)) for name, words in glossary.PLACES.items()],
        columns=[
            (
                glossary.language_name(*code) if code else "All",
                at(run["counts"], (first, *code)) or {},
            )
            for first, *code in columns
        ],
        tables=[
            (title, [(m, [figure(run, m.name, column) for column in columns]) for m in group])
            for title, group in glossary.MEASURES.items()
            if any(m.name in run["measures"]["overall"] for m in group)
        ],
        matrix=_matrix(run.get("matrix") or {}),
        written=_written(run.get("matrix") or {}),
        slices=[
            (title, list(_slice(run, name)))
            for name, title in (("type", "type"), ("doc", "document"))
        ],
        slice_measures=SLICE_MEASURES,
        remarks=wording.remarks(run["counts"]),
        risk=charts.risk_coverage_curve(points, operating),
        reliability=charts.reliability_diagram(points),
        operating=operating,
        latency=charts.histogram(_latencies(items), _percentiles(run)),
        failures=failures,
        stage_choices=[(group.stage.name, group.stage.title, group.size) for group in failures],
        language_choices=_language_choices(q for group in failures for q in group.questions),
        others=[group for group in groups if group.stage.name in glossary.SERVED],
        main_configuration=[
            row for name in _MAIN for row in configuration if row[0].startswith(name)
        ],
        configuration=[row for row in configuration if not row[0].startswith(_MAIN)],
        command=_command(run["config"]),
    )


def comparison_page(a: Record, b: Record) -> str:
    """Return what got better and worse from run A to run B as a page."""
    comparison = compare_runs(a, b)
    sides = [
        {_key(item): _question(number, item, {}) for number, item in enumerate(_items(run), 1)}
        for run in (a, b)
    ]
    changes = [
        (change, sides[0][change.id, change.question], sides[1][change.id, change.question])
        for change in comparison.changes
    ]
    directions = Counter(change.direction for change in comparison.changes)
    configurations = [dict(_flat(run["config"])) for run in (a, b)]
    names = dict.fromkeys(name for values in configurations for name in values)
    return _render(
        "comparison.html",
        a=a,
        b=b,
        comparison=comparison,
        directions=directions,
        rows=[(row, glossary.measure(row.measure), row_change(row)) for row in comparison.rows],
        changes=changes,
        direction_choices=[
            (name, name.capitalize(), directions[sign])
            for sign, name in glossary.DIRECTIONS.items()
        ],
        language_choices=_language_choices(after for _, _, after in changes),
        differing=[
            (name, *(values.get(name, "–") for values in configurations))
            for name in names
            if configurations[0].get(name) != configurations[1].get(name)
        ],
    )


def _items(run: Record) -> list[dict[str, Any]]:
    """Return the items with every field, empty where the run file has none."""
    return [
        {**_ABSENT, **{name: value for name, value in item.items() if value is not None}}
        for item in run["items"]
    ]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("eval.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "chart": charts,
        "directions_of": glossary.DIRECTIONS,
        "language_name": glossary.language_name,
        "step_names": glossary.STEPS,
        "stages": {stage.name: stage for stage in glossary.STAGES},
    }
    environment.filters |= {"plural": wording.plural, "share": wording.share}
    return environment


def _render(template: str, **values: Any) -> str:
    environment = _environment()
    for kind, name in (("style", "page.css"), ("script", "page.js")):
        # Files of this package, not text of a run. Their hashes allow them and nothing else.
        text, _, _ = environment.loader.get_source(environment, name)  # type: ignore[union-attr]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        values |= {kind: Markup(text), f"{kind}_hash": digest}  # noqa: S704
    return environment.get_template(template).render(values)


def _language_choices(questions: Iterable[Question]) -> list[tuple[str, str, int]]:
    counts = Counter(question.language for question in questions)
    names = glossary.LANGUAGE_NAMES | {"other": "Other"}
    return [(code, name, counts[code]) for code, name in names.items()]


def _columns(run: Record) -> list[tuple[str, ...]]:
    """Return the paths of the slices to show side by side: overall, then the languages."""
    known = [code for code in summary.LANGUAGES if code in run["measures"].get("lang", ())]
    others = sorted(set(run["measures"].get("lang", ())) - set(known))
    return [("overall",), *(("lang", code) for code in [*known, *others])]


def _steps(items: Sequence[Record]) -> tuple[charts.Step, ...]:
    """Return what was lost at each step among the questions that have an answer."""
    stages = Counter(item["stage"] for item in items if item["answerable"])
    order = ("error", "not_retrieved", "wrongly_abstained", "not_chosen", "wrong_span")
    return charts.funnel(stages.total(), [(name, stages[name]) for name in order])


def _matrix(matrix: Record) -> list[tuple[str, list[Cell | None]]]:
    """Return the rows of the matrix: our languages, then others that occur; likewise across."""
    asked = [*summary.LANGUAGES, *sorted(set(matrix) - set(summary.LANGUAGES))]
    written = _written(matrix)
    return [(row, [_cell(at(matrix, (row, column))) for column in written]) for row in asked]


def _written(matrix: Record) -> list[str]:
    found = {code for row in matrix.values() for code in row}
    return [*summary.LANGUAGES, *sorted(found - set(summary.LANGUAGES))]


def _cell(figures: Record | None) -> Cell | None:
    if not figures or not figures["items"]:
        return None
    recall, first = figures.get("answer_recall"), figures.get("R@1")
    return Cell(
        figures["items"],
        "–" if recall is None else f"{recall:.0%}",
        "–" if first is None else f"{first:.0%}",
        min(_TINTS - 1, int((recall or 0.0) * _TINTS)),
    )


def _slice(run: Record, name: str) -> Iterator[tuple[str, Record, list[Figure]]]:
    for key, counts in (run["counts"].get(name) or {}).items():
        yield key, counts, [figure(run, m, (name, key)) for m in SLICE_MEASURES]


def _latencies(items: Iterable[Record]) -> list[float]:
    timings = [item["given"]["timings"] for item in items if item["given"]]
    return [timing["total_ms"] for timing in timings if "total_ms" in timing]


def _percentiles(run: Record) -> list[tuple[str, float]]:
    found = [(p, at(run["measures"], ("overall", f"latency_{p}_ms"))) for p in ("p50", "p95")]
    return [(f"{p} {charts.duration(value)}", value) for p, value in found if value is not None]


def _key(item: Record) -> tuple[str, str]:
    return item["id"], item["question"]


def _question(number: int, item: Record, before: Mapping[tuple[str, str], str]) -> Question:
    expected, given = item["expected"], item["given"] or {}
    groups = expected["answer_groups"] or [[answer] for answer in expected["answers"]]
    served = item["stage"] in glossary.SERVED
    stage = before.get(_key(item))
    news = ""
    if stage is not None and (stage in glossary.SERVED) != served:
        news = "better than in the baseline" if served else "worse than in the baseline"
    return Question(
        item=item,
        number=number,
        language=glossary.language_group(item["lang"]),
        wanted=tuple(" / ".join(group) for group in groups),
        text=given.get("text", ""),
        short=given.get("short_answer", ""),
        remarks=tuple(wording.question_remarks(item)),
        scores=tuple((n, f"{v:.2f}") for n, v in item["scores"].items() if v is not None),
        passages=passages(item),
        stray=stray(item),
        news=news,
    )


def _flat(config: Record, prefix: str = "") -> list[tuple[str, str]]:
    """Return the configuration as (dotted name, value)."""
    rows: list[tuple[str, str]] = []
    for name, value in config.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            rows.append((f"{prefix}{name}", ", ".join(map(str, value)) or "–"))
        else:
            rows.append((f"{prefix}{name}", "–" if value is None else str(value)))
    return rows


def _command(config: Record) -> str:
    """Return the command that makes the run again, with the settings that are not the defaults."""
    dataset, settings = config.get("dataset") or {}, config.get("settings") or {}
    changed = [
        f"CITADELLE_{name.upper()}={shlex.quote(str(settings[name]))}"
        for name, field in Settings.model_fields.items()
        # Where things lie differs between machines, and changes no figure.
        if field.annotation is not Path and name != "port"
        if settings.get(name, field.default) != field.default
    ]
    squad = dataset.get("kind") == "squad"
    words = ["python", "-m", "eval", "squad" if squad else "run", str(dataset.get("name", ""))]
    for option in ("questions", "unanswerable"):
        if dataset.get(option):
            words += [f"--{option}", str(dataset[option]["name"])]
    if dataset.get("limit"):
        words += ["--limit", str(dataset["limit"])]
    if not squad and settings.get("corpus"):
        words += ["--corpus", str(settings["corpus"])]
    words += ["--json", "run.json", "--html", "run.html"]
    return " ".join([*changed, shlex.join(words)])
