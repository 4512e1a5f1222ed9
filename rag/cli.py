"""The command line: `citadelle index · ask · search · sources · text · doctor · serve · mcp`."""

from __future__ import annotations

import atexit
import gc
import io
import os
import socket
import sys
import threading
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rag.config import Settings, load_settings
from rag.errors import CitadelleError, IndexDamaged, IndexLoss, IndexMismatch
from rag.printing import (
    complain,
    err_console,
    explanation_lines,
    explanation_record,
    hit_record,
    out_console,
    place_of,
    plain_of,
    print_answer,
    print_events,
    print_json,
    print_query,
    progress_bars,
    write,
)

if TYPE_CHECKING:
    from rag.encoder import Encoder
    from rag.indexing import Changes, IndexReport
    from rag.pipeline import Citadelle

__all__ = ["app", "main"]

app = typer.Typer(
    name="citadelle",
    help="Ask questions of French documents and get answers that quote their sources.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

IndexOption = Annotated[
    Path | None,
    typer.Option("--index", metavar="DIR", help="Folder of the index (default .citadelle/index)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="KEY=VALUE",
        help="Only documents whose metadata has this value, such as tag=militaire, "
        "language=fr or doc=NAME. Can be repeated.",
    ),
]
HistoryOption = Annotated[
    list[str] | None,
    typer.Option(
        "--history",
        metavar="TEXT",
        help="An earlier question of the conversation, for a follow-up. Can be repeated, "
        "oldest first.",
    ),
]
QuestionArgument = Annotated[
    str, typer.Argument(metavar="QUESTION", help="The question, in French, English or Dutch.")
]


ModelOption = Annotated[
    str | None,
    typer.Option(
        "--llm",
        metavar="PROVIDER:MODEL",
        help="Language model that writes the answer, such as ollama:qwen3:8b.",
    ),
]


@app.command()
def index(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Folders or files to index (default: corpus)."),
    ] = None,
    index_folder: IndexOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask before most documents leave the index."),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and follow the files until Ctrl-C.")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the index before the last change.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the index in step with the documents below PATH.

    Documents that are no longer there leave the index; when that is more than half of them,
    or all, you are asked first, and a script needs --yes. Files that cannot be read are
    named with the reason, the others are indexed, and the exit code is 1.
    """
    if dry_run + watch + rollback > 1:
        raise typer.BadParameter("give one of --dry-run, --watch and --rollback.")
    if rollback and paths:
        raise typer.BadParameter(
            "it goes back as a whole; leave PATH out.", param_hint="--rollback"
        )
    settings = load_settings(index=index_folder)
    wanted = paths or [settings.corpus]
    if rollback:
        _roll_back(settings, as_json)
        return
    if dry_run:
        _print_plan(wanted, settings, as_json)
        return
    from rag.encoder import open_encoder
    from rag.indexing import unchanged

    report = None if watch else unchanged(wanted, settings)
    if report is not None:
        _print_report(report, settings, as_json)
        raise typer.Exit(1 if report.skipped else 0)
    with progress_bars() as progress:
        encoder = open_encoder(settings, progress)
    skipped = False
    try:
        report = _index(wanted, settings, encoder, yes=yes)
        _print_report(report, settings, as_json)
        skipped = bool(report.skipped)
    except CitadelleError as error:
        if not watch:
            raise
        # What hinders may end while the files are followed.
        complain(error)
    if watch:
        _watch(wanted, settings, encoder, as_json=as_json, yes=yes)
    elif skipped:
        raise typer.Exit(1)


@app.command()
def ask(
    question: QuestionArgument,
    history: HistoryOption = None,
    filters: FilterOption = None,
    index_folder: IndexOption = None,
    llm: ModelOption = None,
    no_llm: Annotated[
        bool, typer.Option("--no-llm", help="Quote, though a language model is configured.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Show the quotes below what the model wrote.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Answer a question, quoting the passages that it rests on.

    With a language model, each sentence is printed when the passages that it cites were found
    to support it; where none is, the passages are quoted.
    """
    if no_llm and (llm or compare):
        raise typer.BadParameter("it leaves nothing to write or to compare.", param_hint="--no-llm")
    with _open(index_folder, llm="" if no_llm else llm) as citadelle:
        limits = _filters(filters)
        if as_json:
            print_json(citadelle.ask(question, history=history or [], filters=limits).to_dict())
            return
        with closing(citadelle.stream(question, history or [], limits)) as events:
            answer = print_events(events)
        print_answer(answer, citadelle, limits)
        if compare and answer.mode == "written":
            out_console().print()
            quoting = citadelle.ask(question, history or [], limits, written=False)
            print_answer(quoting, citadelle, limits)


@app.command()
def search(
    question: QuestionArgument,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many passages.")] = 10,
    history: HistoryOption = None,
    filters: FilterOption = None,
    index_folder: IndexOption = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Say what was looked for and what each score is made of."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the passages found for a question, best first."""
    with _open(index_folder) as citadelle:
        ranking = citadelle.search(question, k=k, history=history or [], filters=_filters(filters))
        explanations = citadelle.explain(ranking) if explain else []
        if as_json:
            hits = [hit_record(hit) for hit in ranking.hits]
            for explained, explanation in zip(hits, explanations, strict=False):
                explained["explanation"] = explanation_record(explanation)
            record: dict[str, Any] = {"query": ranking.query, "language": ranking.language}
            if explain:
                record["names"] = [asdict(alias) for alias in citadelle.retriever.aliases(ranking)]
            print_json({**record, "hits": hits})
            return
        if explain:
            print_query(citadelle, ranking)
        for number, hit in enumerate(ranking.hits):
            document = citadelle.document(hit.chunk.doc_id)
            where = place_of(document.title, hit.chunk.heading_path)
            out_console().print(Text(f"{hit.rank}. {where}  ({hit.score:.3f})", style="bold"))
            if explain:
                for line in explanation_lines(explanations[number]):
                    out_console().print(Padding(Text(line, style="dim"), (0, 0, 0, 3)))
            plain = plain_of(document, hit.chunk.start, hit.chunk.end)
            out_console().print(Padding(Text(plain), (0, 0, 1, 3)))


@app.command()
def sources(index_folder: IndexOption = None, as_json: JsonOption = False) -> None:
    """List the indexed documents, and the files that could not be read."""
    with _open(index_folder) as citadelle:
        found, skipped = citadelle.sources(), citadelle.skipped
    if as_json:
        print_json(
            {
                "sources": [
                    {
                        "doc_id": s.doc_id,
                        "title": s.title,
                        "language": s.language,
                        "chunks": s.chunks,
                        "characters": s.characters,
                        "metadata": dict(s.metadata),
                    }
                    for s in found
                ],
                "skipped": [{"path": s.path, "reason": s.reason} for s in skipped],
            }
        )
        return
    table = Table(box=None, pad_edge=False)
    # A name that is cut or folded cannot be given to another command.
    table.add_column("Document", no_wrap=True)
    for heading in ("Title", "Language", "Passages", "Tags"):
        table.add_column(heading, overflow="fold")
    for source in found:
        tags = source.metadata.get("tags", ())
        table.add_row(
            *(
                Text(cell)
                for cell in (
                    source.doc_id,
                    source.title,
                    source.language,
                    str(source.chunks),
                    tags if isinstance(tags, str) else ", ".join(tags),
                )
            )
        )
    out_console().print(table)
    for entry in skipped:
        out_console().print(Text(f"Skipped {entry.path}: {entry.reason}", style="yellow"))


@app.command()
def text(
    doc_id: Annotated[
        str, typer.Argument(metavar="DOC_ID", help="A document, or a unique beginning of its name.")
    ],
    index_folder: IndexOption = None,
) -> None:
    """Print the canonical text of a document, the one that citations count in."""
    with _open(index_folder) as citadelle:
        write(citadelle.text(doc_id))


@app.command()
def doctor(index_folder: IndexOption = None, as_json: JsonOption = False) -> None:
    """Check the installation, the encoder and the index; say what to mend and what is slow."""
    from rag.diagnosis import diagnose

    with progress_bars() as progress:
        checks = list(diagnose(index_folder, progress))
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            mark = ("slow  ", "yellow") if check.slow else ("ok    ", "green")
            line = Text(*(mark if check.ok else ("wrong ", "bold red")))
            out_console().print(line + Text(f"{check.name}: {check.detail}", style="default"))
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


@app.command()
def serve(
    index_folder: IndexOption = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the page (default 8501).")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="IP", help="Address to serve on (default 127.0.0.1, this machine)."),
    ] = None,
    base_path: Annotated[
        str | None, typer.Option(metavar="PATH", help="Path to serve under, behind a proxy.")
    ] = None,
) -> None:
    """Prepare the encoder and the index, then serve the chat page until Ctrl-C."""
    settings = load_settings(index=index_folder, port=port, address=address, base_path=base_path)
    page = Path(__file__).resolve().parent.parent / "app.py"
    if not page.is_file():
        raise CitadelleError(f"The page {page} is missing; run citadelle from its checkout.")
    _check_port(settings.address, settings.port)
    try:
        _prepare(index_folder, settings)
    except CitadelleError as error:
        # The page says the same and stays useful: documents can be added while it runs.
        complain(error)
    os.environ["CITADELLE_INDEX"] = str(settings.index)
    os.environ["CITADELLE_PORT"] = str(settings.port)
    host = f"[{settings.address}]" if ":" in settings.address else settings.address
    where = f"http://{host}:{settings.port}{settings.base_path and f'/{settings.base_path}'}"
    out_console().print(Text(f"Citadelle is at {where} (Ctrl-C stops it)."))
    if settings.api:
        out_console().print(Text(f"Programs ask at {where}/v1."))
    sys.stdout.flush()
    command = [sys.executable, "-m", "streamlit", "run", str(page)]
    options = {
        "server.address": settings.address,
        "server.port": str(settings.port),
        "server.baseUrlPath": settings.base_path,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        # Or Streamlit asks a server elsewhere which address this machine has.
        "browser.serverAddress": "localhost",
        "logger.hideWelcomeMessage": "true",
        # Drawn with colours on stdout, what failed would not be in the log.
        "logger.enableRich": "false",
    }
    command += [f"--{name}={value}" for name, value in options.items()]
    # Replacing this process frees the memory of the preparation and passes Ctrl-C on.
    os.execv(command[0], command)  # noqa: S606


@app.command()
def mcp(index_folder: IndexOption = None) -> None:
    """Answer an assistant over its standard input and output (Model Context Protocol).

    The assistant starts this command itself, and gets tools to search the documents, to ask
    them, and to read them. Needs the extra package 'citadelle[mcp]'.
    """
    try:
        from rag.mcp_server import serve_mcp
    except ModuleNotFoundError as error:
        raise CitadelleError(
            "'citadelle mcp' needs a package that is not installed; "
            "run: pip install 'citadelle[mcp]'"
        ) from error
    # Said here, where a person sees it, rather than by the first tool.
    _observe(load_settings(index=index_folder), serving=True)
    serve_mcp(index_folder)


def main() -> NoReturn:
    """Run the command line; a `CitadelleError` is one line on stderr and exit code 1."""
    # Imports make half a million objects that stay: looking them through for what can be freed,
    # while they are made and at the end, takes longer than answering a question.
    gc.set_threshold(20_000)
    atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):
        # Documents hold characters that a console's own code page lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")
    try:
        app()
    except CitadelleError as error:
        err_console().print(Text(str(error), style="red"), soft_wrap=True)
        sys.exit(1)
    except OSError as error:
        # A full disk behind a redirection, for one.
        err_console().print(Text(f"Writing failed: {error.strerror or error}.", style="red"))
        sys.exit(1)
    sys.exit(0)


# --- Indexing -----------------------------------------------------------------------------


def _index(paths: list[Path], settings: Settings, encoder: Encoder, *, yes: bool) -> IndexReport:
    """Index, and ask a person at a terminal before most documents leave."""
    from rag.indexing import build_index

    try:
        with progress_bars() as progress:
            return build_index(
                paths, settings, encoder, progress, may_lose="all" if yes else "half"
            )
    except IndexLoss as error:
        if not sys.stdin.isatty():
            raise
        complain(error)
        typer.confirm("Should they leave the index?", abort=True, err=True)
    with progress_bars() as progress:
        return build_index(paths, settings, encoder, progress, may_lose="all")


def _watch(
    paths: list[Path], settings: Settings, encoder: Encoder, *, as_json: bool, yes: bool
) -> None:
    from rag.watching import watch

    err_console().print(Text("Following the files (Ctrl-C stops it)."))
    stop = threading.Event()
    try:
        for event in watch(paths, settings, encoder, stop, may_lose="all" if yes else "half"):
            if isinstance(event, CitadelleError):
                complain(event)
            else:
                _print_report(event, settings, as_json)
    except KeyboardInterrupt:
        stop.set()


def _print_report(report: IndexReport, settings: Settings, as_json: bool) -> None:
    if as_json:
        print_json(report.to_dict())
    else:
        where = settings.chroma_url or settings.index
        counts = f"{_counts(report)}: {report.chunks} passages in {where}."
        out_console().print(Text(counts))
        sys.stdout.flush()
    _print_skipped(report)


def _print_plan(paths: list[Path], settings: Settings, as_json: bool) -> None:
    from rag.indexing import plan_index

    changes = plan_index(paths, settings)
    if as_json:
        print_json(changes.to_dict())
    else:
        for mark, names in (
            ("added", changes.added),
            ("replaced", changes.replaced),
            ("renamed", tuple(f"{old} -> {new}" for old, new in changes.renamed)),
            ("removed", changes.removed),
        ):
            for name in names:
                out_console().print(Text(f"{mark:9} {name}"), soft_wrap=True)
        out_console().print(Text(f"{_counts(changes)}; nothing was written."))
        if changes.loses_most:
            out_console().print(Text("Most documents would leave: 'citadelle index' asks first."))
    _print_skipped(changes)


def _counts(changes: Changes) -> str:
    renamed = f"{len(changes.renamed)} renamed, " if changes.renamed else ""
    return (
        f"{len(changes.added)} added, {len(changes.replaced)} replaced, {renamed}"
        f"{len(changes.removed)} removed, {len(changes.unchanged)} unchanged, "
        f"{len(changes.skipped)} skipped"
    )


def _print_skipped(changes: Changes) -> None:
    for entry in changes.skipped:
        err_console().print(Text(f"Skipped {entry.path}: {entry.reason}"), soft_wrap=True)


def _roll_back(settings: Settings, as_json: bool) -> None:
    from rag.generations import read_manifest
    from rag.store import open_store

    left, live = open_store(settings).roll_back()
    manifest = read_manifest(live)
    if as_json:
        print_json({"left": left.name, "live": live.name, "created": manifest["created"]})
        return
    out_console().print(
        Text(
            f"Back to the index of {manifest['created']}: {len(manifest['documents'])} documents, "
            f"{manifest['chunks']} passages. 'citadelle index' brings it in step with the files."
        )
    )


def _filters(pairs: list[str] | None) -> dict[str, str] | None:
    from rag.retrieval import parse_filter

    return dict(parse_filter(pair) for pair in pairs) if pairs else None


def _open(index_folder: Path | None, *, update: bool = False, **settings: Any) -> Citadelle:
    from rag.pipeline import Citadelle

    _observe(load_settings(index=index_folder, **settings))
    with progress_bars() as progress:
        return Citadelle.open(index=index_folder, update=update, progress=progress, **settings)


def _observe(settings: Settings, *, serving: bool = False) -> None:
    """Begin to log and to trace, where the settings and the environment ask for it."""
    from rag.logs import begin_request, set_up_logs
    from rag.tracing import set_up_tracing

    set_up_logs(settings, serving=serving)
    set_up_tracing()
    begin_request()


def _prepare(index_folder: Path | None, settings: Settings) -> None:
    """Bring the index in step before it is served, unless most of it would go.

    An index that agrees with its documents is told without the encoder. One on a server is
    served as it is.
    """
    from rag.generations import read_manifest
    from rag.indexing import is_stale, plan_index
    from rag.store import open_store

    store = open_store(settings)
    live = store.live()
    if live is not None:
        try:
            manifest = read_manifest(live)
        except (IndexDamaged, IndexMismatch):
            # Of another version, or damaged: it is made again, from the same folders.
            _open(index_folder, update=True)
            return
        if store.shared or not is_stale(manifest):
            return
        changes = plan_index([Path(path) for path in manifest["paths"]], settings)
        if changes.loses_most:
            raise IndexLoss(
                f"{len(changes.removed)} documents of the index are no longer among the files; "
                "the index is served as it is. 'citadelle index --yes' takes them out."
            )
    _open(index_folder, update=True)


def _check_port(address: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise CitadelleError(
                f"Port {port} on {address} is not free ({error.strerror}); stop what uses it or "
                "give another with --port."
            ) from error
