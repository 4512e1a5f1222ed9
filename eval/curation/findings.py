"""What the check of a gold file found: the records, and how they are printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

__all__ = [
    "ERRORS",
    "WARNINGS",
    "Coverage",
    "Fact",
    "Finding",
    "Findings",
    "Kind",
    "print_findings",
    "quoted",
]

ErrorKind = Literal[
    "document",
    "evidence_elsewhere",
    "evidence_nowhere",
    "answer_not_verbatim",
    "answer_outside_evidence",
    "inconsistent",
    "duplicate",
    "contradiction",
]
WarningKind = Literal[
    "near_duplicate", "rare_language", "rare_type", "unanswerable_share", "perhaps_answered"
]
Kind = ErrorKind | WarningKind
ERRORS: tuple[ErrorKind, ...] = get_args(ErrorKind)
WARNINGS: tuple[WarningKind, ...] = get_args(WarningKind)

_SHOWN_CHARACTERS = 90
_SHOWN_FINDINGS = 60
_SHOWN_DOCUMENTS = 20
_SHOWN_FACTS = 15


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: where, of which item (empty for the whole file), what, what to do."""

    kind: Kind
    where: str
    item: str
    what: str
    remedy: str

    @property
    def serious(self) -> bool:
        return self.kind in ERRORS

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as it stands in the JSON of `check`."""
        return {
            "kind": self.kind,
            "serious": self.serious,
            "where": self.where,
            "item": self.item,
            "what": self.what,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class Fact:
    """A unit that can be asked about, in canonical offsets, with its plain text."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many facts a document holds, and those that no question's evidence touches."""

    doc_id: str
    facts: int
    uncovered: tuple[Fact, ...]

    @property
    def covered(self) -> int:
        return self.facts - len(self.uncovered)


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was found in a question set.

    `probed` unanswerable questions were looked up in documents of their own language,
    `probed_across` only by words spelt alike, `unprobed` not at all, for want of such words.
    """

    name: str
    items: int
    answerable: int
    languages: Mapping[str, int]
    types: Mapping[str, int]
    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]
    probed: int
    probed_across: int
    unprobed: int

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.serious)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if not finding.serious)

    @property
    def serious(self) -> bool:
        """Tell whether there is an error, which must be mended before anything is measured."""
        return bool(self.errors)

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `python -m eval check --json` writes.

        `items` = `answerable` + `unanswerable`; `unanswerable` = the three numbers of the
        probe; `facts` = `covered` + `uncovered`; the numbers by kind add up to `findings`.
        """
        tally = Counter(finding.kind for finding in self.findings)
        facts = sum(entry.facts for entry in self.coverage)
        uncovered = sum(len(entry.uncovered) for entry in self.coverage)
        return {
            "format": 1,
            "dataset": self.name,
            "counts": {
                "items": self.items,
                "answerable": self.answerable,
                "unanswerable": self.items - self.answerable,
                "languages": dict(self.languages),
                "types": dict(self.types),
                "probed": self.probed,
                "probed_across_languages": self.probed_across,
                "not_probed": self.unprobed,
                "errors": {kind: tally[kind] for kind in ERRORS},
                "warnings": {kind: tally[kind] for kind in WARNINGS},
                "facts": facts,
                "covered": facts - uncovered,
                "uncovered": uncovered,
            },
            "findings": [finding.to_dict() for finding in self.findings],
            "coverage": [
                {
                    "doc_id": entry.doc_id,
                    "facts": entry.facts,
                    "covered": entry.covered,
                    "uncovered": [
                        {"start": fact.start, "end": fact.end, "text": fact.text}
                        for fact in entry.uncovered
                    ],
                }
                for entry in self.coverage
            ],
        }


def print_findings(findings: Findings, console: Console) -> None:
    """Print the counts, the errors, the warnings, and what no question covers."""
    unanswerable = findings.items - findings.answerable
    tallies = [
        ", ".join(f"{name} {number}" for name, number in counted.items())
        for counted in (findings.languages, findings.types)
    ]
    console.print(
        Text(
            f"{findings.name}: {findings.items} questions, {findings.answerable} answerable and "
            f"{unanswerable} not.\nLanguages: {tallies[0]}.\nTypes: {tallies[1]}.\n"
            f"Errors: {len(findings.errors)}. Warnings: {len(findings.warnings)}."
        )
    )
    for title, style, chosen in (
        ("Errors", "bold red", findings.errors),
        ("Warnings", "bold yellow", findings.warnings),
    ):
        if chosen:
            console.print(Text(f"\n{title}", style=style))
        for finding in chosen[:_SHOWN_FINDINGS]:
            place = finding.where + (f" ({finding.item})" if finding.item else "")
            line = Text(f"{place}: ").append(f"{finding.what}; {finding.remedy}.")
            console.print(Padding(line, (0, 0, 0, 2)))
        if len(chosen) > _SHOWN_FINDINGS:
            console.print(f"  The other {len(chosen) - _SHOWN_FINDINGS} are in --json FILE.")
    if unanswerable:
        console.print(
            Text(
                f"\nOf the {unanswerable} unanswerable questions, {findings.probed} were looked up "
                f"in documents of their language, {findings.probed_across} only by words spelt "
                f"alike, {findings.unprobed} not, for want of such words."
            )
        )
    _print_coverage(findings.coverage, console)


def _print_coverage(coverage: Sequence[Coverage], console: Console) -> None:
    shown = sorted(coverage, key=lambda entry: -len(entry.uncovered))[:_SHOWN_DOCUMENTS]
    table = Table(title="Facts that a question's evidence covers", title_justify="left")
    table.add_column("document")
    for name in ("facts", "covered", "share"):
        table.add_column(name, justify="right")
    for entry in shown:
        share = f"{entry.covered / entry.facts:.0%}" if entry.facts else "–"
        table.add_row(Text(entry.doc_id), str(entry.facts), str(entry.covered), share)
    if len(coverage) > len(shown):
        facts = sum(entry.facts for entry in coverage)
        covered = sum(entry.covered for entry in coverage)
        share = f"{covered / facts:.0%}" if facts else "–"
        table.add_section()
        table.add_row(f"all {len(coverage)} documents", str(facts), str(covered), share)
    console.print(table)
    for entry in shown:
        if entry.uncovered:
            console.print(Text(f"No question covers, in {entry.doc_id}:"))
        for fact in entry.uncovered[:_SHOWN_FACTS]:
            console.print(Padding(Text(f"· {_short(fact.text)}"), (0, 0, 0, 2)))
        if len(entry.uncovered) > _SHOWN_FACTS:
            console.print(f"  and {len(entry.uncovered) - _SHOWN_FACTS} others")


def quoted(text: str) -> str:
    """Return the beginning of a text in quotation marks, on one line."""
    return f"“{_short(text)}”"


def _short(text: str) -> str:
    line = " ".join(text.split())
    if len(line) <= _SHOWN_CHARACTERS:
        return line
    cut = line[: _SHOWN_CHARACTERS - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut) + "…"
