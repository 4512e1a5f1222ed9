"""Time indexing beside LangChain's recipe with Chroma: all files, none changed, one changed.

Each of `--passages` distinct passages of real sentences is a file. Both systems use the same
encoder, each in a process of its own, one after the other, loaded before the clock starts: the
recipe (text splitter with the sizes of LangChain's tutorial, one embedding a piece, Chroma) as it
is, in fp32; Citadelle in the arithmetic that it chooses. The recipe has no notion of what has
changed, and begins anew each time. It runs in the environment of the peers (`make bench-peers`
installs it), and is left out without it. With `--work` what was measured is kept in a folder: a
run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from data import distinct_passages, peak, write_files
from rich.console import Console
from rich.table import Table

from rag.config import Settings, load_settings
from rag.encoder import convert_bundled, open_encoder
from rag.indexing import build_index

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".venv-peers" / "bin" / "python"
RECIPE = ROOT / "benchmarks" / "peers" / "recipe.py"
QUESTION = "Quelles sont les missions du ministère ?"


def main() -> None:
    """Print the table."""
    given = _arguments()
    if given.own is not None:
        sys.stdout.write(json.dumps(own(_settings(given.own))) + "\n")
        return
    if not (given.data / "piaf-train.json").is_file():
        sys.stdout.write(f"Not run: there is no piaf-train.json in {given.data} (see --data).\n")
        return
    console = Console()
    with tempfile.TemporaryDirectory() as scratch:
        work = (given.work or Path(scratch)).resolve()
        passages = distinct_passages(given.data, given.passages)
        shutil.rmtree(work / "corpus", ignore_errors=True)
        write_files(work / "corpus", passages)
        encoder = convert_bundled(_settings(work).cache)
        recipe = None
        if given.peers.is_file():
            command = [given.peers, RECIPE, work / "corpus", encoder]
            recipe = _kept(work / "recipe.json", lambda: _run(command))
        ours = _kept(work / "own.json", lambda: _ours(work, passages))
    console.print(f"{given.passages:,} files, {ours['passages']:,} passages of Citadelle's")
    console.print(_table(ours, recipe))
    console.print(
        f"The encoder was at work {ours['busy']:.1%} of the time of indexing all, "
        f"in {ours['arithmetic']}."
    )
    if recipe is None:
        console.print(f"The recipe was not run: there is no {given.peers} (see --peers).")


def _ours(work: Path, passages: Sequence[str]) -> dict[str, Any]:
    # What a run that was stopped left behind would be known.
    settings = _settings(work)
    shutil.rmtree(settings.index, ignore_errors=True)
    for path in settings.cache.glob("embeddings.sqlite3*"):
        path.unlink()
    shutil.rmtree(settings.corpus)
    write_files(settings.corpus, passages)
    return {**_run([sys.executable, __file__, "--own", work]), **_cold(settings)}


def own(settings: Settings) -> dict[str, Any]:
    """Index all, nothing, and one file that changed; return seconds, memory, and what was busy."""
    encoder = open_encoder(settings)
    encoder.encode_queries([QUESTION])
    busy = 0.0
    forward = encoder.model.forward

    def timed(*args: Any, **kwargs: Any) -> Any:
        nonlocal busy
        begin = time.perf_counter()
        try:
            return forward(*args, **kwargs)
        finally:
            busy += time.perf_counter() - begin

    encoder.model.forward = timed  # type: ignore[method-assign]
    found: dict[str, Any] = {}
    for what in ("all", "nothing changed", "one changed"):
        if what == "one changed":
            changed = next(settings.corpus.rglob("*.txt"))
            changed.write_text(changed.read_text(encoding="utf-8") + "\nEncore une phrase.\n")
        begin = time.perf_counter()
        report = build_index([settings.corpus], settings, encoder)
        found[what] = time.perf_counter() - begin
        if what == "all":
            found["busy"] = busy / found[what]
            found["memory"] = peak()
    return {**found, "passages": report.chunks, "arithmetic": str(encoder.model.dtype)[6:]}


def _cold(settings: Settings) -> dict[str, float]:
    """Return the seconds of whole processes of the command line."""
    environment = {**os.environ, "CITADELLE_CACHE": str(settings.cache)}
    index = ["--index", str(settings.index)]
    found = {}
    for what, arguments in (
        ("nothing changed, from the start of the process", ["index", str(settings.corpus)]),
        ("ask, from the start of the process", ["ask", QUESTION]),
    ):
        command = [sys.executable, "-m", "rag", *arguments, *index]
        begin = time.perf_counter()
        subprocess.run(  # noqa: S603
            command, stdout=subprocess.DEVNULL, check=True, cwd=ROOT, env=environment
        )
        found[what] = time.perf_counter() - begin
    return found


def _table(ours: dict[str, Any], recipe: dict[str, Any] | None) -> Table:
    table = Table("what", "Citadelle", "recipe", "ratio")
    for what, seconds in ours.items():
        if isinstance(seconds, float) and what not in ("busy", "memory"):
            cells = ("-", "-")
            if recipe is not None and not what.startswith("ask"):
                cells = (f"{recipe['seconds']:.1f} s", f"{recipe['seconds'] / seconds:.1f}")
            table.add_row(what, f"{seconds:.1f} s", *cells)
    memory = ("-", "-")
    if recipe is not None:
        memory = (f"{recipe['memory']:.0f} MiB", f"{recipe['memory'] / ours['memory']:.1f}")
    table.add_row("peak memory", f"{ours['memory']:.0f} MiB", *memory)
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets"))
    parser.add_argument("--passages", type=int, default=2000)
    parser.add_argument("--peers", type=Path, default=PEERS, help="Python of the peers")
    parser.add_argument("--work", type=Path, help="folder that keeps what was measured")
    parser.add_argument("--own", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _settings(work: Path) -> Settings:
    # A cache of its own: nothing that is measured may be known from before.
    return load_settings(corpus=work / "corpus", index=work / "index", cache=work / "cache")


def _kept(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if not path.is_file():
        path.write_text(json.dumps(measure()), encoding="ascii")
    found: dict[str, Any] = json.loads(path.read_text(encoding="ascii"))
    return found


def _run(command: Sequence[Any]) -> dict[str, Any]:
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
