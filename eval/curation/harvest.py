"""From feedback to gold questions: pre-fill what is known, ask for the rest, check, add a line.

Nothing is written before the whole question has passed the checks of a gold file, so
that stopping at any prompt leaves the file as it was.
"""

from __future__ import annotations

import json as jsonlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock, Timeout
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.curation.check import item_findings, read_corpus
from eval.curation.completing import complete, yes_or_no
from eval.curation.drafts import TYPES, Draft, changes, draft, fill, next_id, passages
from eval.curation.findings import Finding
from eval.dataset import json_lines, load_gold
from rag.config import load_settings
from rag.errors import DatasetError, FeedbackError
from rag.feedback import Feedback, FeedbackStore, Verdict
from rag.types import Document

__all__ = ["append", "command", "feedback_command", "print_feedback"]

# How long to wait for another harvest to write its line, in seconds.
_PATIENCE = 10.0


# --- Writing ------------------------------------------------------------------------------


def append(
    gold: Path, record: Draft, documents: Mapping[str, Document]
) -> tuple[str, tuple[Finding, ...]]:
    """Add a question to a gold file; return its id and what is worth a look in it.

    The id is given here, when nobody else can take it. The new content is written beside
    the file, read back and checked as a whole, and only then takes its place. Raises
    `DatasetError`, with the file as it was, when the file or the question is not right.
    """
    target = gold.resolve()
    if not target.parent.is_dir():
        raise DatasetError(f"{gold}: cannot be written; its folder does not exist.")
    try:
        with FileLock(target.with_name(f".{target.name}.lock"), timeout=_PATIENCE):
            before = target.read_bytes() if target.exists() else b""
            identifier = next_id(_ids(gold) if before.strip() else ())
            line = jsonlib.dumps({**record, "id": identifier}, ensure_ascii=False).encode()
            # The last line of a file that was written by hand may not be ended.
            joint = b"\n" if before and not before.endswith(b"\n") else b""
            with _beside(target, before + joint + line + b"\n") as written:
                warnings = _checked(written, gold, identifier, documents)
                if target.exists():
                    shutil.copymode(target, written)
                written.replace(target)
            return identifier, warnings
    except Timeout as error:
        raise DatasetError(f"Another process is writing {gold}; try again.") from error
    except OSError as error:
        raise DatasetError(
            f"{gold}: cannot be written ({error.strerror or error}); it is as it was."
        ) from error
    except UnicodeEncodeError as error:
        raise DatasetError("The question holds characters that are no text.") from error


def _ids(gold: Path) -> list[str]:
    return [str(record.get("id", "")) for _, record in json_lines(gold)]


@contextmanager
def _beside(target: Path, content: bytes) -> Iterator[Path]:
    """Yield a file with the content, in the folder of `target`, and leave nothing there."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    written = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if not target.exists():
            written.chmod(0o644)  # A temporary file is its owner's alone.
        yield written
    finally:
        written.unlink(missing_ok=True)


def _checked(
    written: Path, gold: Path, identifier: str, documents: Mapping[str, Document]
) -> tuple[Finding, ...]:
    dataset = load_gold(written, str(gold))
    found = [f for f in item_findings(dataset, documents) if f.item == identifier]
    for finding in found:
        if finding.serious:
            raise DatasetError(
                f"The question was not added to {gold}: {finding.what}; {finding.remedy}."
            )
    return tuple(found)


# --- Commands -----------------------------------------------------------------------------


def command(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="A feedback, or a unique beginning of its id.")
    ],
    gold: Annotated[Path, typer.Option(help="The gold file that gets the question.")],
    corpus: Annotated[
        Path | None, typer.Option(help="Folder of documents; else that of the settings.")
    ] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option(help="An answer, word for word in the evidence. Can be repeated."),
    ] = None,
    evidence: Annotated[
        list[str] | None,
        typer.Option(help="A text that proves it, word for word. Can be repeated."),
    ] = None,
    doc: Annotated[str, typer.Option(help="The beginning of the document's name.")] = "",
    type: Annotated[str, typer.Option(help=f"Such as {', '.join(TYPES)}.")] = "",
    lang: Annotated[str, typer.Option(help="fr, en or nl, where the question's is unclear.")] = "",
    polarity: Annotated[str, typer.Option(help="yes or no, for yes-or-no questions.")] = "",
    unanswerable: Annotated[
        bool, typer.Option("--unanswerable", help="The documents do not answer it.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Ask nothing; fail when something is missing.")
    ] = False,
) -> None:
    """Make a gold question of a feedback, asking for what it does not say.

    Ctrl-C at any question leaves the gold file as it is.
    """
    settings = load_settings(corpus=corpus)
    store = FeedbackStore(settings.data)
    feedback = store.get(identifier)
    taken = _ids(gold) if gold.exists() else []
    if feedback.harvested and feedback.harvested in taken:
        raise DatasetError(
            f"The feedback {feedback.id} is already in {gold}, as {feedback.harvested}."
        )
    documents, skipped = read_corpus(settings.corpus)
    for entry in skipped:
        typer.echo(f"Skipped {entry.path}: {entry.reason}", err=True)
    for sentence in changes(feedback, documents):
        typer.echo(sentence, err=True)
    record = fill(
        draft(feedback, documents, taken),
        answers=answer or (),
        evidence=evidence or (),
        doc=doc,
        type=type,
        lang=lang,
        polarity=polarity,
        unanswerable=unanswerable,
    )
    ask = None if yes else _prompt
    if ask is not None:
        _introduce(feedback)
    record = complete(record, documents, ask, typer.echo, passages(feedback, documents))
    if ask is not None:
        typer.echo(jsonlib.dumps(record, ensure_ascii=False, indent=1))
        if yes_or_no(ask(f"Add this question to {gold}? (yes, no)", "yes")) is not True:
            typer.echo("Nothing was added.")
            return
    item_id, warnings = append(gold, record, documents)
    for finding in warnings:
        typer.echo(f"Look at {item_id}: {finding.what}; {finding.remedy}.", err=True)
    try:
        store.mark_harvested(feedback.id, item_id)
    except FeedbackError as error:
        raise FeedbackError(
            f"The question was added to {gold} as {item_id}, but the feedback could not be marked "
            f"as harvested: {error}"
        ) from error
    typer.echo(f"Added to {gold} as {item_id}.")


def feedback_command(
    verdict: Annotated[
        Verdict | None, typer.Option(help="Only what was said to be right, or wrong.")
    ] = None,
    pending: Annotated[
        bool, typer.Option("--pending", help="Only what no gold question was made of yet.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """List what people said of answers, oldest first."""
    store = FeedbackStore(load_settings().data)
    entries = store.list(verdict, pending=pending)
    if as_json:
        typer.echo(jsonlib.dumps([asdict(entry) for entry in entries], indent=1))
    else:
        print_feedback(entries, Console(highlight=False))


def print_feedback(entries: Sequence[Feedback], console: Console) -> None:
    """Print one row a feedback, and how many of them no gold question was made of."""
    if not entries:
        console.print("No feedback.")
        return
    table = Table(box=None, pad_edge=False)
    # An id that is cut or folded cannot be given to another command.
    table.add_column("id", no_wrap=True)
    for name in ("given", "verdict", "language", "question", "said", "gold"):
        table.add_column(name, overflow="fold")
    for entry in entries:
        said = [", ".join(reason.replace("_", " ") for reason in entry.reasons), entry.comment]
        said += [f"expected: {entry.expected}"] if entry.expected else []
        row = (
            entry.id,
            entry.created[:10],
            entry.verdict,
            entry.language,
            entry.question,
            "\n".join(filter(None, said)),
            entry.harvested,
        )
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    pending = sum(not entry.harvested for entry in entries)
    console.print(f"\nFeedback: {len(entries)}. Not in a gold file yet: {pending}.")


def _introduce(feedback: Feedback) -> None:
    for earlier in feedback.history:
        typer.echo(f"Before: {earlier}")
    typer.echo(f"Question: {feedback.question}")
    typer.echo(f"Answer, said to be {feedback.verdict}: {feedback.answer['text']}")
    for name, text in (("Comment", feedback.comment), ("Expected", feedback.expected)):
        if text:
            typer.echo(f"{name}: {text}")


def _prompt(question: str, default: str) -> str:
    return str(typer.prompt(question, default=default, show_default=bool(default)))
