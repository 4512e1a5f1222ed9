"""The command line of the evaluation: `python -m eval`."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from eval.comparison import baseline_of, compare_runs, gate
from eval.curation import check, harvest
from eval.dataset import Dataset, load_gold
from eval.experiment import configuration, measure, open_system
from eval.journal import Journal
from eval.report.page import comparison_page, run_page
from eval.report.terminal import print_comparison, print_matrix, print_run
from eval.runs import load_run, save_run
from eval.squad import load_squad, write_corpus
from eval.statements import load_statements
from eval.summary import language_matrix
from eval.support import measure_statements, print_statements, write_measured
from rag.config import Settings, load_settings
from rag.errors import CitadelleError, DatasetError

__all__ = ["app", "main"]

INTERRUPTED = 130
BASELINES = Path("eval/baselines")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    # A defect must show a plain traceback: rich's would print the locals, documents included.
    pretty_exceptions_enable=False,
    help="Measure Citadelle on questions whose answers are known.",
)

CorpusOption = Annotated[
    Path | None, typer.Option(help="Folder of documents; else that of the settings.")
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the run to this file.")]
HtmlOption = Annotated[Path | None, typer.Option(help="Write a readable page to this file.")]
BaselineOption = Annotated[Path | None, typer.Option(help="Compare with this earlier run.")]
GateOption = Annotated[
    bool, typer.Option("--gate", help="Fail when a measure falls below the baseline.")
]


@app.command()
def run(
    gold: Annotated[Path, typer.Argument(help="Questions, one JSON object a line.")],
    corpus: CorpusOption = None,
    json: JsonOption = None,
    html: HtmlOption = None,
    baseline: BaselineOption = None,
    gated: GateOption = False,
    llm: Annotated[
        str,
        typer.Option(
            metavar="PROVIDER:MODEL",
            help="Language model that writes the answers; the settings' is not taken.",
        ),
    ] = "",
) -> None:
    """Ask the questions of a gold file over a corpus, and print the measures."""
    # Everything that can be wrong is found before the minutes are spent.
    outputs = _outputs([gold], json, html, baseline, gated)
    dataset = load_gold(gold)
    settings = load_settings(corpus=corpus, llm=llm)
    if not settings.corpus.exists():
        raise DatasetError(f"{settings.corpus}: there is no such folder; name one with --corpus.")
    # The user's own index stays as it is: measuring another corpus must not replace it.
    place = hashlib.sha256(str(settings.corpus.resolve()).encode()).hexdigest()[:16]
    index = settings.cache / "eval" / "indexes" / f"{place}-{settings.fingerprint()}"
    _finish(_measured(dataset, settings, settings.corpus, index, json), outputs)


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
    html: HtmlOption = None,
    baseline: BaselineOption = None,
    gated: GateOption = False,
) -> None:
    """Make the contexts of a SQuAD file the corpus, and ask its questions openly."""
    outputs = _outputs([file, questions, unanswerable], json, html, baseline, gated)
    dataset = load_squad(file, questions=questions, unanswerable=unanswerable, limit=limit)
    settings = load_settings(llm="")
    try:
        root = write_corpus(dataset.contexts, settings.cache / "eval" / "corpora")
    except OSError as error:
        raise DatasetError(f"{settings.cache}: cannot be written ({error.strerror}).") from error
    index = root.with_name(f"{root.name}-index-{settings.fingerprint()}")
    _finish(_measured(dataset, settings, root / "corpus", index, json), outputs)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="The earlier run.")],
    b: Annotated[Path, typer.Argument(help="The later run.")],
    html: HtmlOption = None,
) -> None:
    """Compare two runs item by item, with paired tests."""
    _writable(html)
    before, after = load_run(a), load_run(b)
    print_comparison(compare_runs(before, after), Console())
    if html is not None:
        _write(html, comparison_page(before, after))


@app.command()
def baseline(
    run: Annotated[Path, typer.Argument(help="The run to hold later ones against.")],
    out: Annotated[
        Path | None, typer.Option(help="Else eval/baselines/, under the name of the questions.")
    ] = None,
    bound: Annotated[
        list[str] | None,
        typer.Option(
            help="A least value, such as answer_recall=0.75 or nl.answer_recall=0.6; a greatest "
            "one where lower is better, such as AURC=0.2. Can be repeated."
        ),
    ] = None,
) -> None:
    """Keep a run as the baseline; tolerances and bounds of the one before stay."""
    measured = load_run(run)
    target = out or BASELINES / f"{Path(measured['config']['dataset']['name']).stem}.json"
    _writable(target)
    earlier = load_run(target) if target.is_file() else None
    save_run(baseline_of(measured, earlier, [_bound(text) for text in bound or ()]), target)
    typer.echo(f"Written to {target}; earlier runs are compared with 'python -m eval compare'.")


@app.command()
def matrix(
    runs: Annotated[list[Path], typer.Argument(help="Runs, over documents in any language.")],
) -> None:
    """Put runs together: language of the question by language of the document."""
    items = []
    seen: dict[tuple[str, str], Path] = {}
    for path in dict.fromkeys(runs):
        for item in load_run(path)["items"]:
            if "expected" not in item:
                raise DatasetError(f"{path}: a baseline does not say the documents' languages.")
            first = seen.setdefault((item["id"], item["question"]), path)
            if first is not path:
                raise DatasetError(f"{path}: the question {item['id']!r} is in {first} already.")
            items.append(item)
    print_matrix(language_matrix(items), Console())


@app.command()
def statements(
    file: Annotated[Path, typer.Argument(help="Labelled statements, one JSON object a line.")],
    json: JsonOption = None,
) -> None:
    """Check labelled statements as those of a language model are, and print how many pass."""
    found = measure_statements(load_statements(file), load_settings())
    if json is not None:
        write_measured(found, json)
    print_statements(found, Console())


app.command("check")(check.command)
app.command("feedback")(harvest.feedback_command)
app.command("harvest")(harvest.command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 for a user's error, or 2 for wrong usage."""
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="python -m eval")
    except CitadelleError as error:
        typer.echo(f"Error: {' '.join(str(error).split())}", err=True)
        sys.exit(1)


@dataclass(frozen=True, slots=True)
class _Outputs:
    html: Path | None
    baseline: dict[str, Any] | None
    gated: bool


def _outputs(
    inputs: Sequence[Path | None],
    json: Path | None,
    html: Path | None,
    baseline: Path | None,
    gated: bool,
) -> _Outputs:
    if gated and baseline is None:
        raise typer.BadParameter("--gate needs --baseline RUN.", param_hint="--gate")
    before = load_run(baseline) if baseline is not None else None
    named = [path.resolve() for path in (*inputs, baseline, json, html) if path is not None]
    for path in (json, html):
        if path is not None and named.count(path.resolve()) > 1:
            raise DatasetError(f"{path}: is named twice, and would be written over.")
    _writable(json, html)
    return _Outputs(html, before, gated)


def _measured(
    dataset: Dataset, settings: Settings, corpus: Path, index: Path, json: Path | None
) -> dict[str, Any]:
    """Ask every question, with what an earlier run that was stopped already has; keep the run."""
    total = len(dataset.items)
    asked = 0
    try:
        with _progress() as progress:
            stages: dict[str, Any] = {}

            def report(stage: str, done: int, of: int) -> None:
                if stage not in stages:
                    stages[stage] = progress.add_task(stage, total=of)
                progress.update(stages[stage], completed=done, total=of)

            with open_system(corpus, index, report, settings.llm) as system:
                folder = settings.cache / "eval" / "unfinished"
                with Journal(folder, configuration(system, dataset)) as journal:
                    if journal.records:
                        typer.echo(
                            f"Going on after {len(journal.records)} of {total} questions.", err=True
                        )
                    asking = progress.add_task("questions", total=total)

                    def advance() -> None:
                        nonlocal asked
                        asked += 1
                        progress.advance(asking)

                    result = measure(system, dataset, advance, journal)
                    if json is not None:
                        save_run(result, json)
                    # Only now: a run that cannot be written is not lost.
                    journal.remove()
    except KeyboardInterrupt:
        typer.echo(
            f"Stopped after {asked} of {total} questions; the same command goes on from there.",
            err=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    return result


def _finish(result: dict[str, Any], outputs: _Outputs) -> None:
    print_run(result, Console())
    before = outputs.baseline
    if outputs.html is not None:
        _write(outputs.html, run_page(result, before))
    if before is None:
        return
    print_comparison(compare_runs(before, result), Console())
    if outputs.gated:
        fallen = gate(result, before)
        for line in fallen:
            typer.echo(line, err=True)
        if fallen:
            raise typer.Exit(1)
        typer.echo("The gate is passed: no measure is worse than the baseline or its bound allows.")


def _bound(text: str) -> tuple[str, str, float]:
    """Read `answer_recall=0.75`, or with a language before it, `nl.answer_recall=0.6`."""
    name, _, value = text.partition("=")
    part, dot, measure_name = name.partition(".")
    try:
        return (part, measure_name, float(value)) if dot else ("overall", name, float(value))
    except ValueError as error:
        raise typer.BadParameter(
            f"'{text}' is not a bound; write answer_recall=0.75.", param_hint="--bound"
        ) from error


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
        if file is None:
            continue
        if file.is_dir():
            raise DatasetError(f"{file}: is a folder; name a file.")
        if not file.absolute().parent.is_dir():
            raise DatasetError(f"{file}: cannot be written; its folder does not exist.")
        new = not file.exists()
        try:
            # Opened for adding, so that what an earlier run left there stays until the end.
            with file.open("ab"):
                pass
            if new:
                file.unlink()
        except OSError as error:
            raise DatasetError(f"{file}: cannot be written ({error.strerror}).") from error


def _write(file: Path, text: str) -> None:
    try:
        file.write_bytes(text.encode())
    except OSError as error:
        raise DatasetError(f"{file}: cannot be written ({error.strerror}).") from error


if __name__ == "__main__":
    main()
