"""Measure other retrieval systems on the same passages, questions and encoder weights.

    make bench-peers

Every system runs in a process of its own (`benchmarks/peers/worker.py`): the peers in the
environment of `benchmarks/peers-requirements.txt`, Citadelle in the project's. Each peer is
measured at its documented defaults and as its own documentation says to tune it. Prints the
tables and saves them, with a picture, in `benchmarks/results`. Nothing is kept between runs.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table

from eval.dataset import Context, Item
from eval.squad import UNTITLED, load_squad
from eval.statistics import mean, percentile
from rag.config import load_settings
from rag.encoder import convert_bundled

ROOT = Path(__file__).resolve().parent.parent
WORKER = ROOT / "benchmarks" / "peers" / "worker.py"
RESULTS = ROOT / "benchmarks" / "results"

LANGUAGES = {"fr": "French", "en": "English", "nl": "Dutch"}
MEASURES = ("R@1", "R@5", "RR@10")
DEPTH = 10
# The widest table needs this many characters.
_COLUMNS = 140
# A system that takes longer than this for one corpus has failed.
_PATIENCE_S = 3600


@dataclass(frozen=True)
class System:
    """A system in one configuration; `benchmarks/peers/systems.toml` says what the fields are."""

    key: str
    name: str
    configuration: str
    how: str
    worker: str
    options: dict[str, Any]


def _systems() -> tuple[System, ...]:
    records = tomllib.loads((WORKER.parent / "systems.toml").read_text(encoding="utf-8"))
    return tuple(System(**{"options": {}} | record) for record in records["system"])


SYSTEMS = _systems()
CITADELLE = next(system for system in SYSTEMS if system.worker == "citadelle")
_NOTES = (
    "A question counts by its one right document. Where a system splits a document, its best "
    f"piece counts and ranks are over distinct documents; {DEPTH} hits are asked for.",
    "Index time runs from loading the weights to the first possible question, query time is of "
    "one question at a time after five to warm up, memory is the process's largest resident set; "
    "importing the library is not timed.",
    "“Best found” is the tuned system with those of its documented settings (prompts or none, way "
    "of fusing, weights, candidates) that gave the highest mean R@1 over the three languages on a "
    "sample of PIAF's own questions, which favours it.",
    "Left out: rerankers and second stages of every system, query generation by a language model "
    "(LlamaIndex's default of 4 queries), and vector stores that need a server.",
)


@dataclass(frozen=True)
class Corpus:
    """Documents with the answerable questions about them."""

    name: str
    files: Mapping[str, str]
    documents: tuple[Context, ...]
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Measured:
    """What one system did on one corpus; the measures are by language."""

    measures: Mapping[str, Mapping[str, float]]
    index_s: float
    p50_ms: float
    p95_ms: float
    peak_mib: float
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Failed:
    """Why there are no figures."""

    reason: str


Outcome = Measured | Failed
Outcomes = Mapping[str, Mapping[str, Outcome]]
"""By the key of the system, then by the name of the corpus."""


def main() -> None:
    """Measure, print and save."""
    given = _arguments()
    corpora = load_corpora(given.data, given.questions)
    console = Console()
    console = Console(width=max(console.width, _COLUMNS))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        encoder = _prepare_encoder(scratch)
        outcomes: dict[str, dict[str, Outcome]] = {}
        for system in SYSTEMS:
            python = sys.executable if system is CITADELLE else str(given.peers.absolute())
            for corpus in corpora:
                outcome = measure(system, corpus, python, encoder, scratch)
                outcomes.setdefault(system.key, {})[corpus.name] = outcome
                console.print(_progress(system, corpus, outcome), style="dim", highlight=False)
        for table in tables(corpora, outcomes):
            console.print(table)
        console.print(*notes(corpora, outcomes), sep="\n", highlight=False)
        if given.questions is not None:
            console.print("This was a sample: nothing is saved.")
            return
        record = report(corpora, outcomes, _digest(encoder / "model.safetensors"), load)
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    (RESULTS / "peers.json").write_text(text, encoding="utf-8")
    (RESULTS / "peers.svg").write_text(picture(corpora[0], outcomes), encoding="utf-8")
    console.print("Saved: benchmarks/results/peers.json and peers.svg")


def _arguments() -> argparse.Namespace:
    description = str(__doc__).split("\n", 1)[0]
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets"))
    parser.add_argument(
        "--questions", type=int, help="most questions a language and corpus; all without"
    )
    parser.add_argument("--peers", type=Path, help="the interpreter of the peers' environment")
    given = parser.parse_args()
    reason = None
    if not (given.data / "piaf-train.json").is_file():
        reason = f"there is no piaf-train.json in {given.data} (see --data)"
    elif given.peers is None:
        reason = "the peers have their own environment; use 'make bench-peers'"
    if reason is not None:
        sys.stdout.write(f"{description} Not run: {reason}.\n")
        sys.exit(0)
    return given


# --- Data ---------------------------------------------------------------------------------


def load_corpora(data: Path, limit: int | None) -> list[Corpus]:
    """Read PIAF (train and dev as one corpus), DILA dev and CNIL dev.

    `limit` is the most questions of a language, evenly spaced; documents stay complete.
    """
    piaf = [
        (data / f"piaf-{part}.json", questions)
        for part in ("train", "dev")
        for questions in (None, data / f"piaf-{part}-xling.jsonl")
    ]
    return [
        _corpus("PIAF", piaf, limit),
        _corpus("DILA dev", [(data / "dila-dev.json", None)], limit),
        _corpus("CNIL dev", [(data / "cnil-faq-dev.json", None)], limit),
    ]


def _corpus(name: str, files: Sequence[tuple[Path, Path | None]], limit: int | None) -> Corpus:
    documents: dict[str, Context] = {}
    digests: dict[str, str] = {}
    items: list[Item] = []
    for path, questions in files:
        dataset = load_squad(path, questions=questions)
        documents |= {document.doc_id: document for document in dataset.contexts}
        digests |= {read.name: _digest(read) for read in (path, questions) if read is not None}
        items += [item for item in dataset.items if item.answerable]
    kept: list[Item] = []
    for language in LANGUAGES:
        own = [item for item in items if item.lang == language]
        count = min(len(own), limit or len(own))
        kept += [own[index * len(own) // count] for index in range(count)]
    return Corpus(name, digests, tuple(documents.values()), tuple(kept))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def title_of(doc_id: str) -> str:
    """Return the title that the document's file name carries, empty where there is none."""
    title = Path(doc_id).stem
    return "" if title == UNTITLED else title


# --- Running ------------------------------------------------------------------------------


def _prepare_encoder(scratch: Path) -> Path:
    """Write Citadelle's bundled encoder in 32 bits, and a cache for Citadelle with nothing else.

    The bundled folder stores 16 bits, which libraries would compute with as well; the published
    model that the peers would load from the hub is in 32.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    bundled = convert_bundled(load_settings().cache)
    model = SentenceTransformer(
        str(bundled), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32}
    )
    encoder = scratch / "multilingual-e5-small"
    model.save_pretrained(str(encoder), create_model_card=False)
    (scratch / "cache").mkdir()
    (scratch / "cache" / "encoders").symlink_to(bundled.parent)
    return encoder


def measure(system: System, corpus: Corpus, python: str, encoder: Path, scratch: Path) -> Outcome:
    """Run one system on one corpus in a fresh process and score its rankings."""
    job, result = scratch / "job.json", scratch / "result.json"
    record = {
        "system": system.worker,
        "options": system.options,
        "encoder": str(encoder),
        "cache": str(scratch / "cache"),
        "depth": DEPTH,
        "passages": [
            {"id": document.doc_id, "title": title_of(document.doc_id), "text": document.text}
            for document in corpus.documents
        ],
        "questions": [item.question for item in corpus.items],
    }
    job.write_text(json.dumps(record), encoding="utf-8")
    result.unlink(missing_ok=True)
    try:
        done = subprocess.run(  # noqa: S603
            [python, str(WORKER), str(job), str(result)],
            env=_environment(system, scratch),
            cwd=scratch,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Failed(_plain(str(error)))
    if done.returncode or not result.is_file():
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return Failed(_plain(said[-1]))
    return score(corpus.items, json.loads(result.read_text(encoding="utf-8")))


def _environment(system: System, scratch: Path) -> dict[str, str]:
    """Return the environment of a worker: offline, without telemetry, with an empty home."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CITADELLE_", "PYTHON"))
    }
    home = {"PYTHONPATH": str(ROOT)} if system is CITADELLE else {"HOME": str(scratch / "home")}
    return (
        kept
        | home
        | {
            "ANONYMIZED_TELEMETRY": "False",
            "DO_NOT_TRACK": "1",
            "HAYSTACK_TELEMETRY_ENABLED": "False",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "1",
            "LANGSMITH_TRACING": "false",
            "TOKENIZERS_PARALLELISM": "false",
            "TRANSFORMERS_OFFLINE": "1",
        }
    )


def _plain(reason: str) -> str:
    """Return one line of an error without the folders of this machine."""
    reason = re.sub(r"(?<!\w)/(?:[^\s/'\"]+/)+", "", " ".join(reason.split()))
    return reason if len(reason) <= 200 else f"{reason[:199]}…"


def score(items: Sequence[Item], result: Mapping[str, Any]) -> Measured:
    """Turn a worker's result into measures by language."""
    ranks: dict[str, list[int | None]] = {}
    for item, ranking in zip(items, result["rankings"], strict=True):
        rank = ranking.index(item.doc) + 1 if item.doc in ranking else None
        ranks.setdefault(item.lang, []).append(rank)
    return Measured(
        measures={language: ranking_measures(found) for language, found in ranks.items()},
        index_s=result["index_s"],
        p50_ms=percentile(result["query_ms"], 50) or 0.0,
        p95_ms=percentile(result["query_ms"], 95) or 0.0,
        peak_mib=result["peak_mib"],
        versions=result["versions"],
    )


def ranking_measures(ranks: Sequence[int | None]) -> dict[str, float]:
    """Return R@1, R@5 and RR@10 of questions whose one right document has these ranks."""
    return {
        "R@1": mean([float(rank is not None and rank <= 1) for rank in ranks]) or 0.0,
        "R@5": mean([float(rank is not None and rank <= 5) for rank in ranks]) or 0.0,
        "RR@10": mean([1 / rank if rank and rank <= DEPTH else 0.0 for rank in ranks]) or 0.0,
    }


# --- Tables -------------------------------------------------------------------------------


def tables(corpora: Sequence[Corpus], outcomes: Outcomes) -> list[Table]:
    """Return a table of measures for each corpus, and one of what they cost on the first."""
    return [*(_quality(corpus, outcomes) for corpus in corpora), _cost(corpora[0], outcomes)]


def languages_of(corpus: Corpus) -> dict[str, int]:
    """Return how many questions there are in each language that the corpus is asked in."""
    counts = {lang: sum(item.lang == lang for item in corpus.items) for lang in LANGUAGES}
    return {lang: count for lang, count in counts.items() if count}


def _quality(corpus: Corpus, outcomes: Outcomes) -> Table:
    languages = languages_of(corpus)
    columns = [(lang, name) for lang in languages for name in MEASURES]
    measured = [outcome for _, outcome in _measured(corpus, outcomes)]
    best = {
        (lang, name): max((outcome.measures[lang][name] for outcome in measured), default=0.0)
        for lang, name in columns
    }

    def cells(outcome: Measured) -> list[str]:
        return [
            _bold_best(outcome.measures[lang][name], best[lang, name]) for lang, name in columns
        ]

    asked = ", ".join(f"{count} {LANGUAGES[lang]}" for lang, count in languages.items())
    title = f"{corpus.name}: {len(corpus.documents)} documents; questions: {asked}"
    return _table(title, [f"{name} {lang}" for lang, name in columns], corpus, outcomes, cells)


def _cost(corpus: Corpus, outcomes: Outcomes) -> Table:
    own = {s.key: o for s, o in _measured(corpus, outcomes)}.get(CITADELLE.key)

    def cells(outcome: Measured) -> list[str]:
        return [
            f"{outcome.index_s:.1f}",
            ratio(outcome.index_s, own.index_s if own else None),
            f"{outcome.p50_ms:.1f}",
            ratio(outcome.p50_ms, own.p50_ms if own else None),
            f"{outcome.p95_ms:.1f}",
            ratio(outcome.p95_ms, own.p95_ms if own else None),
            f"{outcome.peak_mib:.0f}",
            ratio(outcome.peak_mib, own.peak_mib if own else None),
        ]

    times = "multiple of Citadelle's"
    headers = ["index s", "×", "query p50 ms", "×", "query p95 ms", "×", "peak MiB", "×"]
    return _table(f"{corpus.name}: cost (×: {times} in this run)", headers, corpus, outcomes, cells)


def ratio(value: float, base: float | None) -> str:
    """Return the value as a multiple of Citadelle's, "–" where that is not known."""
    return f"{value / base:.2f}" if base else "–"


def _measured(corpus: Corpus, outcomes: Outcomes) -> list[tuple[System, Measured]]:
    pairs = [(system, outcomes[system.key][corpus.name]) for system in SYSTEMS]
    return [(system, outcome) for system, outcome in pairs if isinstance(outcome, Measured)]


def _bold_best(value: float, best: float) -> str:
    text = f"{value:.3f}"
    return f"[bold]{text}[/bold]" if text == f"{best:.3f}" else text


def _table(
    title: str,
    headers: Sequence[str],
    corpus: Corpus,
    outcomes: Outcomes,
    cells: Callable[[Measured], list[str]],
) -> Table:
    table = Table("system", "configuration", title=title, title_justify="left")
    for header in headers:
        table.add_column(header, justify="right")
    for system in SYSTEMS:
        outcome = outcomes[system.key][corpus.name]
        shown = cells(outcome) if isinstance(outcome, Measured) else ["failed"]
        table.add_row(system.name, system.configuration, *shown)
    return table


def _progress(system: System, corpus: Corpus, outcome: Outcome) -> str:
    said = (
        f"failed: {outcome.reason}"
        if isinstance(outcome, Failed)
        else f"indexed in {outcome.index_s:.1f} s, {outcome.p50_ms:.1f} ms a question"
    )
    return escape_markup(f"{system.name}, {system.configuration}, {corpus.name}: {said}")


def notes(corpora: Sequence[Corpus], outcomes: Outcomes) -> list[str]:
    """Return what a reader must know to judge the tables."""
    untitled = sum(not title_of(document.doc_id) for document in corpora[0].documents)
    return [
        *_NOTES,
        f"Titles that name an answer or a question are withheld from every system "
        f"({untitled} of {len(corpora[0].documents)} in {corpora[0].name}).",
        *(f"{system.name}, {system.configuration}: {system.how}." for system in SYSTEMS),
        *(
            f"{system.name}, {system.configuration}, failed on {name}: {outcome.reason}"
            for system in SYSTEMS
            for name, outcome in outcomes[system.key].items()
            if isinstance(outcome, Failed)
        ),
    ]


# --- Saved figures ------------------------------------------------------------------------


def report(
    corpora: Sequence[Corpus], outcomes: Outcomes, encoder: str, load: float | None
) -> dict[str, Any]:
    """Return everything that the tables show, with configuration and versions."""
    return {
        "machine": {
            "cores": os.cpu_count(),
            "architecture": platform.machine(),
            "system": platform.system(),
            "python": platform.python_version(),
            "load_before": load,
        },
        "encoder": {"name": "multilingual-e5-small", "dtype": "float32", "sha256": encoder},
        "depth": DEPTH,
        "corpora": {
            corpus.name: {
                "files": dict(corpus.files),
                "documents": len(corpus.documents),
                "questions": languages_of(corpus),
            }
            for corpus in corpora
        },
        "notes": notes(corpora, outcomes),
        "systems": [
            {
                **dataclasses.asdict(system),
                "results": {
                    name: dataclasses.asdict(outcome)
                    for name, outcome in outcomes[system.key].items()
                },
            }
            for system in SYSTEMS
        ],
    }


# --- Picture ------------------------------------------------------------------------------

_WIDTH = 860
_MARGIN = 24
_CONFIGURATION_X = 216
_PLOT = (322, 650)
_FIGURES_X = {"fr": 710, "en": 768, "nl": 826}
_FIRST_ROW = 136
_ROW = 27
_STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 } .own { font-weight: 600 }
.dim { fill: #59636e } .small { font-size: 12px } .number { font-variant-numeric: tabular-nums }
.card { fill: #ffffff; stroke: #d1d9e0 } .band { fill: #eef3f9 }
.grid { stroke: #dfe5ea } .range { stroke: #afb8c1; stroke-width: 2 }
.fr { fill: #0969da } .en { fill: #bc4c00 } .nl { fill: #1a7f37 }
.mark { stroke: #ffffff; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .dim { fill: #9198a1 }
.card { fill: #0d1117; stroke: #3d444d } .band { fill: #1a2230 }
.grid { stroke: #262d36 } .range { stroke: #4d5763 }
.fr { fill: #58a6ff } .en { fill: #f0883e } .nl { fill: #3fb950 } .mark { stroke: #0d1117 }
}
"""


def scale(low: float, high: float) -> Callable[[float], float]:
    """Return the horizontal place of a value between `low` and `high`."""
    left, right = _PLOT
    return lambda value: left + (value - low) / (high - low) * (right - left)


def bounds(values: Sequence[float]) -> tuple[int, int]:
    """Return the tenths below the least and above the greatest value."""
    low = min((int(value * 10) for value in values), default=0)
    high = max((int(-(-value * 10 // 1)) for value in values), default=10)
    return low, max(high, low + 1)


def picture(corpus: Corpus, outcomes: Outcomes) -> str:
    """Draw R@1 of every system, a mark for each language, as an SVG for light and dark pages."""
    languages = languages_of(corpus)
    measured = {
        system.key: {lang: outcome.measures[lang]["R@1"] for lang in languages}
        for system, outcome in _measured(corpus, outcomes)
    }
    low, high = bounds([value for row in measured.values() for value in row.values()])
    place = scale(low / 10, high / 10)
    bottom = _FIRST_ROW + _ROW * len(SYSTEMS)
    height = bottom + 62
    parts = [
        f'<rect class="card" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="8"/>',
        _text(_MARGIN, 36, "The right passage is ranked first (R@1)", "title"),
        _text(
            _MARGIN,
            58,
            f"{len(corpus.documents)} French passages ({corpus.name}), the same encoder weights "
            "for every system, one run",
            "dim",
        ),
    ]
    left = float(_MARGIN + 7)
    for lang, count in languages.items():
        words = f"{LANGUAGES[lang]} questions ({count:,})"
        parts += [_mark(lang, left, 84), _text(left + 12, 88.5, words, "small dim")]
        left += 46 + 6.4 * len(words)
    for tenth in range(low, high + 1):
        x = place(tenth / 10)
        ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{_FIRST_ROW - 18}" y2="{bottom - 8}"'
        parts.append(f'<line class="grid" {ends}/>')
        parts.append(_text(x, bottom + 10, f"{tenth / 10:.1f}", "small dim number", "middle"))
    for lang in languages:
        parts.append(_text(_FIGURES_X[lang], _FIRST_ROW - 24, lang, "small dim", "end"))
    for index, system in enumerate(SYSTEMS):
        parts += _picture_row(system, measured.get(system.key), place, _FIRST_ROW + _ROW * index)
    parts.append(
        _text(
            _MARGIN,
            bottom + 40,
            "Settings, other measures, times and memory: benchmarks/results/peers.json",
            "small dim",
        )
    )
    body = "\n".join(parts)
    described = "; ".join(
        f"{system.name} ({system.configuration}) "
        + " ".join(f"{lang} {value:.2f}" for lang, value in measured[system.key].items())
        for system in SYSTEMS
        if system.key in measured
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-labelledby="t d">\n'
        f'<title id="t">R@1 by system and language of the question</title>\n'
        f'<desc id="d">{escape(described)}</desc>\n<style>{_STYLE}</style>\n{body}\n</svg>\n'
    )


def _picture_row(
    system: System,
    values: Mapping[str, float] | None,
    place: Callable[[float], float],
    y: float,
) -> list[str]:
    own = system is CITADELLE
    parts = []
    if own:
        parts.append(
            f'<rect class="band" x="10" y="{y - _ROW / 2:.1f}" width="{_WIDTH - 20}" '
            f'height="{_ROW}" rx="5"/>'
        )
    if next(other for other in SYSTEMS if other.name == system.name) is system:
        parts.append(_text(_MARGIN, y + 4.5, system.name, "own" if own else ""))
    parts.append(_text(_CONFIGURATION_X, y + 4.5, system.configuration, "dim"))
    if values is None:
        return [*parts, _text(_PLOT[0], y + 4.5, "failed; the reason is in the file below", "dim")]
    ends = place(min(values.values())), place(max(values.values()))
    parts.append(
        f'<line class="range" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    )
    for lang, value in values.items():
        weight = "number own" if own else "number"
        parts.append(_mark(lang, place(value), y))
        parts.append(_text(_FIGURES_X[lang], y + 4.5, f"{value:.2f}", weight, "end"))
    return parts


def _mark(lang: str, x: float, y: float) -> str:
    """Return a mark whose shape tells the language without the colour."""
    if lang == "fr":
        return f'<circle class="mark fr" cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
    if lang == "en":
        corner = f'x="{x - 5.5:.1f}" y="{y - 5.5:.1f}"'
        return f'<rect class="mark en" {corner} width="11" height="11"/>'
    corners = ((x, y - 7), (x + 7, y + 5.5), (x - 7, y + 5.5))
    return f'<polygon class="mark nl" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}"/>'


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


if __name__ == "__main__":
    main()
