"""The command line of the evaluation: `python -m eval run`, `squad` and `compare`."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from eval.dataset import Dataset, load_gold, load_squad, write_corpus
from eval.experiment import measure, open_system
from eval.report import page, print_comparison, print_run
from eval.runs import compare_runs, gate, load_run, save_run
from rag.config import Settings, load_settings
from rag.errors import CitadelleError, DatasetError

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    # A defect must show a plain traceback: rich's would print the locals, documents included.
    pretty_exceptions_enable=False,
    help="Measure Citadelle on questions whose answers are known.",
)

JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the run to this file.")]


@app.command()
def run(
    gold: Annotated[Path, typer.Argument(help="Questions, one JSON object a line.")],
    corpus: Annotated[
        Path | None, typer.Option(help="Folder of documents; else that of the settings.")
    ] = None,
    json: JsonOption = None,
    html: Annotated[Path | None, typer.Option(help="Write a readable page to this file.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="Compare with this earlier run.")] = None,
    check: Annotated[
        bool, typer.Option("--gate", help="Fail when a measure falls below the baseline.")
    ] = False,
) -> None:
    """Ask the questions of a gold file over a corpus, and print the measures."""
    if check and baseline is None:
        raise typer.BadParameter("--gate needs --baseline RUN.", param_hint="--gate")
    # Everything that can be wrong is found before the minutes are spent.
    before = load_run(baseline) if baseline is not None else None
    dataset = load_gold(gold)
    _writable(json, html)
    settings = load_settings(corpus=corpus)
    if not settings.corpus.exists():
        raise DatasetError(f"{settings.corpus}: there is no such folder; name one with --corpus.")
    # The user's own index stays as it is: measuring another corpus must not replace it.
    place = hashlib.sha256(str(settings.corpus.resolve()).encode()).hexdigest()[:16]
    index = settings.cache / "eval" / "indexes" / f"{place}-{settings.fingerprint()}"
    result = _measured(dataset, settings.corpus, index, json)
    if html is not None:
        _write(html, page(result))
    if before is not None:
        print_comparison(compare_runs(before, result), Console())
    if check and before is not None:
        fallen = gate(result, before)
        for line in fallen:
            typer.echo(line, err=True)
        if fallen:
            raise typer.Exit(1)


@app.command()
def squad(
    file: Annotated[Path, typer.Argument(help="A SQuAD 1.1 or 2.0 file.")],
    questions: Annotated[
        Path | None, typer.Option(help="Ask only the ids in this file, in its wording.")
    ] = None,
    unanswerable: Annotated[
        Path | None, typer.Option(help="Add the questions without answer in this file.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask this many questions, evenly spaced.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Make the contexts of a SQuAD file the corpus, and ask its questions openly."""
    dataset = load_squad(file, questions=questions, unanswerable=unanswerable, limit=limit)
    _writable(json)
    settings: Settings = load_settings()
    try:
        root = write_corpus(dataset.contexts, settings.cache / "eval" / "corpora")
    except OSError as error:
        raise DatasetError(f"{settings.cache}: cannot be written ({error.strerror}).") from error
    index = root.with_name(f"{root.name}-index-{settings.fingerprint()}")
    _measured(dataset, root / "corpus", index, json)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="The earlier run.")],
    b: Annotated[Path, typer.Argument(help="The later run.")],
) -> None:
    """Compare two runs item by item, with a paired permutation test."""
    print_comparison(compare_runs(load_run(a), load_run(b)), Console())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 for a user's error, or 2 for wrong usage."""
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="python -m eval")
    except CitadelleError as error:
        typer.echo(f"Error: {' '.join(str(error).split())}", err=True)
        sys.exit(1)


def _measured(dataset: Dataset, corpus: Path, index: Path, json: Path | None) -> dict[str, Any]:
    with _progress() as progress:
        stages: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = progress.add_task(stage, total=total)
            progress.update(stages[stage], completed=done, total=total)

        with open_system(corpus, index, report) as system:
            asking = progress.add_task("questions", total=len(dataset.items))
            result = measure(system, dataset, lambda: progress.advance(asking))
    if json is not None:
        save_run(result, json)
    print_run(result, Console())
    return result


@contextmanager
def _progress() -> Iterator[Progress]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        yield progress


def _writable(*files: Path | None) -> None:
    for file in files:
        if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
            raise DatasetError(f"{file}: cannot be written; its folder does not exist.")


def _write(file: Path, text: str) -> None:
    try:
        file.write_bytes(text.encode())
    except OSError as error:
        raise DatasetError(f"{file}: cannot be written ({error.strerror}).") from error


if __name__ == "__main__":
    main()
