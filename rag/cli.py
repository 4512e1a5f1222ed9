"""The command line: `citadelle index · ask · search · sources · text · doctor · serve · mcp`."""

from __future__ import annotations

import io
import json
import os
import platform
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from rag.config import NO_READER, Settings, load_settings
from rag.errors import CitadelleError, IndexLoss

if TYPE_CHECKING:
    from rag.checkup import Finding
    from rag.encoder import Encoder
    from rag.indexing import Changes, IndexReport
    from rag.pipeline import Citadelle
    from rag.retrieval import Explanation
    from rag.types import Answer, Document, Ranking, ScoredChunk
    from rag.writing import Event

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
    with _progress() as progress:
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
        _complain(error)
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
            _print_json(citadelle.ask(question, history=history or [], filters=limits).to_dict())
            return
        with closing(citadelle.stream(question, history or [], limits)) as events:
            answer = _print_events(events)
        _print_answer(answer, citadelle, limits)
        if compare and answer.mode == "written":
            _out().print()
            quoting = citadelle.ask(question, history or [], limits, written=False)
            _print_answer(quoting, citadelle, limits)


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
            hits = [_hit_record(hit) for hit in ranking.hits]
            for hit_record, explanation in zip(hits, explanations, strict=False):
                hit_record["explanation"] = _explanation_record(explanation)
            record: dict[str, Any] = {"query": ranking.query, "language": ranking.language}
            if explain:
                record["names"] = [asdict(alias) for alias in citadelle.retriever.aliases(ranking)]
            _print_json({**record, "hits": hits})
            return
        if explain:
            _print_query(citadelle, ranking)
        for number, hit in enumerate(ranking.hits):
            document = citadelle.document(hit.chunk.doc_id)
            where = _where(document.title, hit.chunk.heading_path)
            _out().print(Text(f"{hit.rank}. {where}  ({hit.score:.3f})", style="bold"))
            if explain:
                for line in _explanation_lines(explanations[number]):
                    _out().print(Padding(Text(line, style="dim"), (0, 0, 0, 3)))
            plain = _plain(document, hit.chunk.start, hit.chunk.end)
            _out().print(Padding(Text(plain), (0, 0, 1, 3)))


@app.command()
def sources(index_folder: IndexOption = None, as_json: JsonOption = False) -> None:
    """List the indexed documents, and the files that could not be read."""
    with _open(index_folder) as citadelle:
        found, skipped = citadelle.sources(), citadelle.skipped
    if as_json:
        _print_json(
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
    _out().print(table)
    for entry in skipped:
        _out().print(Text(f"Skipped {entry.path}: {entry.reason}", style="yellow"))


@app.command()
def text(
    doc_id: Annotated[
        str, typer.Argument(metavar="DOC_ID", help="A document, or a unique beginning of its name.")
    ],
    index_folder: IndexOption = None,
) -> None:
    """Print the canonical text of a document, the one that citations count in."""
    with _open(index_folder) as citadelle:
        _write(citadelle.text(doc_id))


@app.command()
def doctor(index_folder: IndexOption = None, as_json: JsonOption = False) -> None:
    """Check the installation, the encoder and the index; say what to mend and what is slow."""
    checks = list(_diagnose(index_folder))
    if as_json:
        _print_json({"checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            mark = ("slow  ", "yellow") if check.slow else ("ok    ", "green")
            line = Text(*(mark if check.ok else ("wrong ", "bold red")))
            _out().print(line + Text(f"{check.name}: {check.detail}", style="default"))
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
        _complain(error)
    os.environ["CITADELLE_INDEX"] = str(settings.index)
    os.environ["CITADELLE_PORT"] = str(settings.port)
    host = f"[{settings.address}]" if ":" in settings.address else settings.address
    where = f"http://{host}:{settings.port}{settings.base_path and f'/{settings.base_path}'}"
    _out().print(Text(f"Citadelle is at {where} (Ctrl-C stops it)."))
    if settings.api:
        _out().print(Text(f"Programs ask at {where}/v1."))
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
    for stream in (sys.stdout, sys.stderr):
        # Documents hold characters that a console's own code page lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")
    try:
        app()
    except CitadelleError as error:
        _err().print(Text(str(error), style="red"), soft_wrap=True)
        sys.exit(1)
    except OSError as error:
        # A full disk behind a redirection, for one.
        _err().print(Text(f"Writing failed: {error.strerror or error}.", style="red"))
        sys.exit(1)
    sys.exit(0)


# --- Indexing -----------------------------------------------------------------------------


def _index(paths: list[Path], settings: Settings, encoder: Encoder, *, yes: bool) -> IndexReport:
    """Index, and ask a person at a terminal before most documents leave."""
    from rag.indexing import build_index

    try:
        with _progress() as progress:
            return build_index(
                paths, settings, encoder, progress, may_lose="all" if yes else "half"
            )
    except IndexLoss as error:
        if not sys.stdin.isatty():
            raise
        _complain(error)
        typer.confirm("Should they leave the index?", abort=True, err=True)
    with _progress() as progress:
        return build_index(paths, settings, encoder, progress, may_lose="all")


def _watch(
    paths: list[Path], settings: Settings, encoder: Encoder, *, as_json: bool, yes: bool
) -> None:
    from rag.watching import watch

    _err().print(Text("Following the files (Ctrl-C stops it)."))
    stop = threading.Event()
    try:
        for event in watch(paths, settings, encoder, stop, may_lose="all" if yes else "half"):
            if isinstance(event, CitadelleError):
                _complain(event)
            else:
                _print_report(event, settings, as_json)
    except KeyboardInterrupt:
        stop.set()


def _print_report(report: IndexReport, settings: Settings, as_json: bool) -> None:
    if as_json:
        _print_json(report.to_dict())
    else:
        where = settings.chroma_url or settings.index
        counts = f"{_counts(report)}: {report.chunks} passages in {where}."
        _out().print(Text(counts))
        sys.stdout.flush()
    _print_skipped(report)


def _print_plan(paths: list[Path], settings: Settings, as_json: bool) -> None:
    from rag.indexing import plan_index

    changes = plan_index(paths, settings)
    if as_json:
        _print_json(changes.to_dict())
    else:
        for mark, names in (
            ("added", changes.added),
            ("replaced", changes.replaced),
            ("renamed", tuple(f"{old} -> {new}" for old, new in changes.renamed)),
            ("removed", changes.removed),
        ):
            for name in names:
                _out().print(Text(f"{mark:9} {name}"), soft_wrap=True)
        _out().print(Text(f"{_counts(changes)}; nothing was written."))
        if changes.loses_most:
            _out().print(Text("Most documents would leave: 'citadelle index' asks first."))
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
        _err().print(Text(f"Skipped {entry.path}: {entry.reason}"), soft_wrap=True)


def _roll_back(settings: Settings, as_json: bool) -> None:
    from rag.generations import read_manifest
    from rag.store import open_store

    left, live = open_store(settings).roll_back()
    manifest = read_manifest(live)
    if as_json:
        _print_json({"left": left.name, "live": live.name, "created": manifest["created"]})
        return
    _out().print(
        Text(
            f"Back to the index of {manifest['created']}: {len(manifest['documents'])} documents, "
            f"{manifest['chunks']} passages. 'citadelle index' brings it in step with the files."
        )
    )


# --- Rendering ----------------------------------------------------------------------------


def _out() -> Console:
    return Console(highlight=False)


def _err() -> Console:
    return Console(stderr=True, highlight=False)


def _complain(error: CitadelleError) -> None:
    _err().print(Text(str(error), style="yellow"), soft_wrap=True)


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # `citadelle text … | head` closes the pipe early, which is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_json(value: Any) -> None:
    _write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def _print_events(events: Iterator[Event]) -> Answer:
    """Print each sentence of a language model when it comes; return the answer."""
    from rag.types import Answer
    from rag.writing import Notice, Sentence

    out = _out()
    begun = False
    for event in events:
        if isinstance(event, Answer):
            if begun:
                out.print()
            return event
        if isinstance(event, Sentence):
            out.print(Text(event.before + event.text), end="", soft_wrap=True)
            begun = True
        elif isinstance(event, Notice):
            if begun:
                out.print()
            begun = False
            words = f"{event.text} ({event.detail})" if event.detail else event.text
            _err().print(Text(words, style="yellow"), soft_wrap=True)
    raise AssertionError("answering ended without an answer")


def _print_answer(answer: Answer, citadelle: Citadelle, filters: dict[str, str] | None) -> None:
    from rag.answering import NEAREST, short_answers

    out = _out()
    if answer.understood:
        out.print(Text(f"Understood as: {answer.understood}", style="dim"))
        out.print()
    # What a model wrote was printed while it came.
    if answer.mode != "written":
        body = Text(answer.text)
        body.highlight_words(short_answers(answer), style="bold")
        out.print(body)
    for hint in citadelle.hints(answer, filters):
        out.print(Text(f"- {hint}"))
    if answer.citations or answer.passages:
        out.print()
    for citation in answer.citations:
        document = citadelle.document(citation.doc_id)
        where = _where(document.title, citation.heading_path)
        place = f"{citation.doc_id}, {citation.start}-{citation.end}"
        out.print(Text(f"[{citation.key}] {where} ({place})", style="dim"))
        if answer.mode == "written":
            # The words are the model's; these are the document's.
            plain = _plain(document, citation.start, citation.end)
            out.print(Padding(Text(plain, style="dim"), (0, 0, 0, 4)))
    for sentence in answer.removed:
        out.print(Text(f"Taken away, not supported: {sentence}", style="dim strike"))
    if answer.abstained and answer.passages:
        tongue = answer.language
        fallback = citadelle.settings.fallback_language
        out.print(Text(NEAREST[fallback if tongue == "unknown" else tongue]))
        for passage in answer.passages[:3]:
            document = citadelle.document(passage.doc_id)
            plain = _plain(document, passage.start, passage.end)
            out.print(Padding(Text(f"{document.title} : {plain}", style="dim"), (0, 0, 1, 2)))


def _hit_record(hit: ScoredChunk) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        "dense": None if hit.dense is None else round(hit.dense, 4),
        "late": None if hit.late is None else round(hit.late, 4),
        "lexical": None if hit.lexical is None else round(hit.lexical, 4),
        "relevance": None if hit.relevance is None else round(hit.relevance, 4),
        "rerank": None if hit.rerank is None else round(hit.rerank, 4),
        "doc_id": hit.chunk.doc_id,
        "title": hit.chunk.metadata["title"],
        "heading_path": list(hit.chunk.heading_path),
        "start": hit.chunk.start,
        "end": hit.chunk.end,
        "text": hit.chunk.text,
    }


def _explanation_record(explanation: Explanation) -> dict[str, Any]:
    return {
        "language": explanation.hit.chunk.metadata["language"],
        "parts": {name: round(value, 4) for name, value in explanation.parts.items()},
        "terms": [
            {
                "word": term.word,
                "stands_for": term.origin,
                "kind": term.kind,
                "bm25": round(value, 4),
            }
            for term, value in explanation.terms
        ],
    }


def _print_query(citadelle: Citadelle, ranking: Ranking) -> None:
    names = {"fr": "French", "en": "English", "nl": "Dutch"}
    language = names.get(ranking.language, "not clear; words count in any language")
    _out().print(Text(f"Language of the question: {language}."))
    for alias in citadelle.retriever.aliases(ranking):
        _out().print(Text(f"'{alias.name}' also looked for as '{alias.other}'."))
    _out().print()


def _explanation_lines(explanation: Explanation) -> Iterator[str]:
    names = {
        "cosine": "meaning",
        "late": "token by token",
        "words": "words",
        "repeated": "says what a better passage says",
        "reader": "reading",
        "unread": "not read",
    }
    parts = (f"{names[name]} {value:+.3f}" for name, value in explanation.parts.items())
    line = ", ".join(parts)
    if explanation.hit.rerank is not None:
        line += f"; put in this place by the reranker ({explanation.hit.rerank:.3f})"
    yield line
    if explanation.terms:
        yield "words: " + ", ".join(
            f"{term.word} {value:.2f}"
            + ("" if term.kind == "word" else f" ({_KINDS[term.kind]} {term.origin})")
            for term, value in explanation.terms
        )


_KINDS = {"spelling": "for", "compound": "part or whole of", "alias": "another name of"}


def _where(title: str, path: tuple[str, ...]) -> str:
    return " > ".join(dict.fromkeys([title, *path]))


def _plain(document: Document, start: int, end: int) -> str:
    low, high = document.offsets.to_plain(start, end)
    return document.plain[low:high]


def _filters(pairs: list[str] | None) -> dict[str, str] | None:
    from rag.retrieval import parse_filter

    return dict(parse_filter(pair) for pair in pairs) if pairs else None


_STAGES = {
    "encoder": "Preparing the encoder (once)",
    "documents": "Reading documents",
    "embed": "Embedding passages",
}


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show each stage of long work on stderr, where a person looks at it."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = _err()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(_STAGES.get(stage, stage), total=total or None)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield report


def _open(index_folder: Path | None, *, update: bool = False, **settings: Any) -> Citadelle:
    from rag.pipeline import Citadelle

    _observe(load_settings(index=index_folder, **settings))
    with _progress() as progress:
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
        manifest = read_manifest(live)
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


def _diagnose(index_folder: Path | None) -> Iterator[Finding]:
    from rag.checkup import Finding, examine_disk, examine_files, examine_index, examine_server
    from rag.speed import examine_machine, examine_questions, examine_reading, opened_in

    yield Finding("Python", sys.version_info >= (3, 11), platform.python_version())
    packages = ("torch", "sentence-transformers", "chromadb", "streamlit", "langchain-core")
    yield Finding("Packages", True, ", ".join(f"{name} {version(name)}" for name in packages))
    yield examine_machine()
    try:
        settings = load_settings(index=index_folder)
    except CitadelleError as error:
        yield Finding("Settings", False, str(error))
        return
    yield Finding("Settings", True, f"corpus {settings.corpus}, index {settings.index}")
    yield from examine_disk(settings)
    yield from examine_reading(settings.cache)
    yield from examine_files(settings)
    yield from examine_server(settings)
    from rag.encoder import open_encoder
    from rag.index import Index
    from rag.pipeline import Citadelle, open_stages

    try:
        begin = time.perf_counter()
        with _progress() as progress:
            encoder = open_encoder(settings, progress)
        took = time.perf_counter() - begin
        detail = f"{encoder.name}, {encoder.dimension} dimensions, loaded in {took:.1f} s"
        yield opened_in("Encoder", detail, took)
    except CitadelleError as error:
        yield Finding("Encoder", False, str(error))
        return
    try:
        begin = time.perf_counter()
        opened = Index.open(settings, encoder)
        took = time.perf_counter() - begin
    except CitadelleError as error:
        yield Finding("Index", False, str(error))
        return
    yield from examine_index(settings, opened)
    yield opened_in("Opening", f"the index opened in {took:.1f} s", took)
    for entry in opened.skipped:
        yield Finding("Document", False, f"{entry.path}: {entry.reason}")
    try:
        second, reading = open_stages(settings, encoder)
    except CitadelleError as error:
        yield Finding("Reader", False, str(error))
        return
    if reading is not None:
        yield Finding("Reader", True, reading.reader.name)
    elif settings.reader == NO_READER:
        yield Finding("Reader", True, "none, as set")
    else:
        yield Finding(
            "Reader", True, f"none: the bundled one does not fit the encoder {encoder.name}"
        )
    with Citadelle(settings, encoder, opened, second, reading) as citadelle:
        yield from examine_questions(citadelle)
    if settings.llm:
        yield Finding("Model", *_try_model(settings, encoder))


def _try_model(settings: Settings, encoder: Encoder) -> tuple[bool, str]:
    """Ask the language model something small: does it answer, how fast, and as it was asked?"""
    from rag.verification import open_verifier
    from rag.writing import open_writer

    try:
        writer = open_writer(settings, encoder, lambda: open_verifier(settings, encoder))
        assert writer is not None
        try:
            probe = writer.probe()
        finally:
            writer.close()
    except CitadelleError as error:
        return False, str(error)
    cites = "cites as asked" if probe.cites else "does not cite as asked, so little of it will show"
    return probe.cites, f"{settings.llm}, one sentence took {probe.seconds:.1f} s, {cites}"
