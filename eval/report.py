"""Show runs and comparisons: tables for a terminal, a page for a browser.

Values of a run come from documents and models, so everything is escaped where it is
shown: `Text` keeps rich from reading marks, `escape` keeps a browser from reading tags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval import measures
from eval.runs import Comparison

__all__ = ["page", "print_comparison", "print_run"]

LANGUAGES = ("fr", "en", "nl")
HEADLINES = ("R@5", "answer_recall", "citation_precision", "citation_recall", "abstention_F1")
MOST_CHANGES = 40
_TALLIES = ("items", "answerable", "unanswerable", "answered", "abstained", "errors")
_WIDTH, _HEIGHT, _MARGIN = 560, 280, 44
_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.5rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .75rem;border-bottom:1px solid #8884;text-align:right;vertical-align:top}
th:first-child,td:first-child{text-align:left}
.wrap{overflow-x:auto}.n{opacity:.65;font-size:.8rem}
.cards{display:flex;flex-wrap:wrap;gap:1rem;padding:0;margin:1rem 0;list-style:none}
.cards li{border:1px solid #8886;border-radius:.5rem;padding:.6rem 1rem;min-width:8rem}
.cards b{display:block;font-size:1.6rem}
details{border-bottom:1px solid #8884;padding:.4rem 0}summary{cursor:pointer}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:.5rem 0 1rem}
dt{opacity:.7}dd{margin:0;overflow-wrap:anywhere;white-space:pre-line}
svg{max-width:100%;height:auto}svg text{fill:currentColor;font:12px system-ui,sans-serif}
"""


def print_run(run: Mapping[str, Any], console: Console) -> None:
    """Print the measures, overall and for each language, each with its number of items."""
    columns = _columns(run)
    dataset = run["config"]["dataset"]
    table = Table(title=Text(f"{dataset['name']}"), title_justify="left")
    table.add_column("measure")
    for name, _, _ in columns:
        table.add_column(Text(name), justify="right")
    for tally in _TALLIES:
        table.add_row(tally, *(str(counts[tally]) for _, counts, _ in columns))
    table.add_section()
    for measure in _measure_names(run):
        cells = [Text(_figure(measure, figures.get(measure))) for _, _, figures in columns]
        for cell, (_, counts, _) in zip(cells, columns, strict=True):
            cell.append(f" ({counts['measured'][measure]})", style="dim")
        table.add_row(measure, *cells)
    console.print(table)
    for line in _remarks(run):
        console.print(Text(line))


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print win, tie and loss of B against A for each measure, and the items that changed."""
    table = Table(title="B against A, item by item", title_justify="left")
    for name in ("measure", "items", "A", "B", "B - A", "win", "tie", "loss", "p"):
        table.add_column(name, justify="left" if name == "measure" else "right")
    for row in comparison.rows:
        if row.mean_a is None or row.mean_b is None:
            table.add_row(row.measure, "0", *["–"] * 7)
            continue
        table.add_row(
            row.measure,
            str(row.items),
            f"{row.mean_a:.3f}",
            f"{row.mean_b:.3f}",
            f"{row.mean_b - row.mean_a:+.3f}",
            str(row.wins),
            str(row.ties),
            str(row.losses),
            f"{row.p:.3f}",
        )
    console.print(table)
    console.print(
        f"{comparison.common} items in common; left out: {comparison.only_a} only in A, "
        f"{comparison.only_b} only in B."
    )
    if not comparison.changes:
        console.print("No item changed.")
        return
    changed = Table(title=f"{len(comparison.changes)} items changed", title_justify="left")
    for name in ("id", "lang", "question", "A → B"):
        changed.add_column(name)
    for change in comparison.changes[:MOST_CHANGES]:
        differences = "\n".join(f"{name}: {a} → {b}" for name, a, b in change.differences)
        changed.add_row(
            Text(change.id), Text(change.lang), Text(change.question), Text(differences)
        )
    console.print(changed)
    if len(comparison.changes) > MOST_CHANGES:
        console.print(f"The other {len(comparison.changes) - MOST_CHANGES} are not shown.")


def page(run: Mapping[str, Any]) -> str:
    """Return the run as one HTML page that needs no network and no script."""
    dataset = escape(str(run["config"]["dataset"]["name"]))
    failures = [item for item in run["items"] if _failed(item)]
    remarks = "".join(f"<p>{escape(line)}</p>" for line in _remarks(run))
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Citadelle on {dataset}</title><style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>Citadelle on {dataset}</h1>\n{_cards(run)}\n{remarks}\n"
        f'<h2>Measures by language</h2>\n<div class="wrap">{_matrix(run)}</div>\n'
        '<p class="n">In parentheses, the number of items a figure is taken over. '
        "Lower is better for AURC and latency.</p>\n"
        f"<h2>Risk against coverage</h2>\n{_curve(run)}\n"
        f"<h2>Failures: {len(failures)} of {len(run['items'])} items</h2>\n"
        + "\n".join(map(_failure, failures))
        + f"\n<h2>Configuration</h2>\n{_configuration(run['config'])}\n</body>\n</html>\n"
    )


def _columns(run: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Return (name, counts, figures): overall, then the languages, ours first."""
    counts, figures = run["counts"], run["measures"]
    names = sorted(figures["lang"], key=lambda name: (name not in LANGUAGES, _place(name), name))
    return [
        ("overall", counts["overall"], figures["overall"]),
        *((name, counts["lang"][name], figures["lang"][name]) for name in names),
    ]


def _place(name: str) -> int:
    return LANGUAGES.index(name) if name in LANGUAGES else 0


def _measure_names(run: Mapping[str, Any]) -> list[str]:
    return list(run["measures"]["overall"])


def _figure(measure: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if measure.endswith("_ms") else f"{value:.3f}"


def _remarks(run: Mapping[str, Any]) -> list[str]:
    counts = run["counts"]
    excluded = counts["overall"]["excluded"]
    lines = [f"{counts['quotes_verified']} citations verified letter by letter."]
    left_out = [f"{number} {name.replace('_', ' ')}" for name, number in excluded.items()]
    lines.append(f"Excluded: {'; '.join(left_out)}.")
    missing = counts["evidence_not_in_document"]
    if missing:
        shown = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
        lines.append(f"Evidence not found in its document, so never retrieved: {shown}.")
    return lines


def _failed(item: Mapping[str, Any]) -> bool:
    if not item["answerable"]:
        return bool(item["outcome"] != "abstained")
    return not bool(item["correct"])


def _cards(run: Mapping[str, Any]) -> str:
    overall = run["measures"]["overall"]
    cards = [f"<li><b>{_figure(name, overall[name])}</b>{escape(name)}</li>" for name in HEADLINES]
    return f'<ul class="cards">{"".join(cards)}</ul>'


def _matrix(run: Mapping[str, Any]) -> str:
    columns = _columns(run)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name, _, _ in columns)
    rows = []
    for tally in _TALLIES:
        cells = "".join(f"<td>{counts[tally]}</td>" for _, counts, _ in columns)
        rows.append(f'<tr><th scope="row">{tally}</th>{cells}</tr>')
    for measure in _measure_names(run):
        cells = "".join(
            f"<td>{_figure(measure, figures.get(measure))} "
            f'<span class="n">({counts["measured"][measure]})</span></td>'
            for _, counts, figures in columns
        )
        rows.append(f'<tr><th scope="row">{escape(measure)}</th>{cells}</tr>')
    return (
        f'<table><thead><tr><th scope="col">measure</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _curve(run: Mapping[str, Any]) -> str:
    points = measures.risk_coverage(
        [(item["confidence"] or 0.0, float(not item["correct"])) for item in run["items"]]
    )

    def at(coverage: float, risk: float) -> str:
        x = _MARGIN + coverage * (_WIDTH - 2 * _MARGIN)
        y = _HEIGHT - _MARGIN - risk * (_HEIGHT - 2 * _MARGIN)
        return f"{x:.1f},{y:.1f}"

    left, right, top, bottom = _MARGIN, _WIDTH - _MARGIN, _MARGIN, _HEIGHT - _MARGIN
    ticks = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = at(share, share).split(",")
        ticks.append(
            f'<line x1="{left}" x2="{right}" y1="{y}" y2="{y}" stroke="#8884"/>'
            f'<text x="{left - 6}" y="{y}" text-anchor="end" dy=".3em">{share:g}</text>'
            f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{share:g}</text>'
        )
    area = _figure("AURC", run["measures"]["overall"].get("AURC"))
    path = " ".join(at(*point) for point in points)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" '
        f'aria-label="Risk by coverage; area under the curve {area}">{"".join(ticks)}'
        f'<polyline points="{path}" fill="none" stroke="#2a6fdb" stroke-width="2"/>'
        f'<text x="{(left + right) // 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
        "coverage: share of questions answered, most confident first</text>"
        f'<text x="{left}" y="{top - 14}">risk: share of those not answered right '
        f"(area {area})</text></svg>"
    )


def _failure(item: Mapping[str, Any]) -> str:
    given = item["given"] or {}
    expected = item["expected"]
    cited = [
        f"[{citation['key']}] {citation['doc_id']}: {citation['quote']}"
        for citation in given.get("citations", ())
    ]
    groups = [" | ".join(group) for group in expected["answer_groups"]]
    wanted: Sequence[str] = groups or expected["answers"] or ["an abstention"]
    rows = [
        ("asked before", "\n".join(item.get("history", ()))),
        ("expected", "\n".join(wanted)),
        ("evidence", "\n".join(expected["evidence"])),
        ("outcome", f"{item['outcome']}, confidence {item['confidence'] or 0.0:.2f}"),
        ("given", given.get("text") or item["error"] or ""),
        ("short answer", given.get("short_answer", "")),
        ("cited", "\n".join(cited)),
        ("measures", _scores(item)),
    ]
    cells = "".join(
        f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in rows if value
    )
    return (
        f"<details><summary>{escape(item['id'])} · {escape(item['lang'])} · "
        f"{escape(item['type'])} · {escape(item['question'])}</summary><dl>{cells}</dl></details>"
    )


def _scores(item: Mapping[str, Any]) -> str:
    scores = {name: value for name, value in item["scores"].items() if value is not None}
    return ", ".join(f"{name} {value:.2f}" for name, value in scores.items())


def _configuration(config: Mapping[str, Any]) -> str:
    rows = []
    for name, value in config.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        rows += [
            f"<dt>{escape(' '.join((name, str(key))).strip())}</dt><dd>{escape(str(part))}</dd>"
            for key, part in parts
        ]
    return f"<dl>{''.join(rows)}</dl>"
