"""Time indexing: all passages, none changed, one changed; beside LangChain's recipe with Chroma.

Each passage of PIAF is a file; `--questions` says how many are taken. Both systems use the same
encoder in the same arithmetic, loaded before the clock starts. The recipe (text splitter, one
embedding a piece, Chroma) has no notion of what has changed, and begins anew each time. It runs
in the environment of the peers (`make bench-peers` installs it), and is left out without it.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

from data import arguments
from rich.console import Console
from rich.table import Table

from eval.squad import load_squad
from rag.config import Settings, load_settings
from rag.encoder import E5Encoder, convert_bundled, open_encoder
from rag.indexing import build_index

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".venv-peers" / "bin" / "python"
RECIPE = ROOT / "benchmarks" / "peers" / "recipe.py"


def main() -> None:
    """Print the table."""
    given = arguments(str(__doc__).split("\n", 1)[0], 2000)
    settings = load_settings(precision="fp32")
    encoder = open_encoder(settings)
    contexts = load_squad(given.data / "piaf-train.json").contexts[: given.questions]
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch) / "corpus"
        corpus.mkdir()
        for number, context in enumerate(contexts):
            (corpus / f"{number:05}.txt").write_text(context.text, encoding="utf-8")
        own = settings.model_copy(
            update={"corpus": corpus, "index": Path(scratch) / "index", "cache": Path(scratch)}
        )
        ours = _ours(own, encoder)
        recipe = _recipe(corpus, convert_bundled(settings.cache))
    table = Table("what", "Citadelle", "recipe", "ratio")
    for what, seconds in ours.items():
        cells = ("-", "-") if recipe is None else (f"{recipe:.1f} s", f"{recipe / seconds:.1f}")
        table.add_row(what, f"{seconds:.1f} s", *cells)
    console = Console()
    console.print(f"{len(contexts)} passages", table)
    if recipe is None:
        console.print(f"The recipe was not run: there is no {PEERS.relative_to(ROOT)}.")


def _ours(settings: Settings, encoder: E5Encoder) -> dict[str, float]:
    taken = {"all": _time(settings, encoder), "none changed": _time(settings, encoder)}
    changed = settings.corpus / "00000.txt"
    changed.write_text(changed.read_text(encoding="utf-8") + "\nEncore une phrase.\n")
    return taken | {"one changed": _time(settings, encoder)}


def _time(settings: Settings, encoder: E5Encoder) -> float:
    begin = time.perf_counter()
    build_index([settings.corpus], settings, encoder)
    return time.perf_counter() - begin


def _recipe(corpus: Path, encoder: Path) -> float | None:
    if not PEERS.is_file():
        return None
    run = subprocess.run(  # noqa: S603
        [PEERS, RECIPE, corpus, encoder], stdout=subprocess.PIPE, text=True, check=True
    )
    return float(json.loads(run.stdout.splitlines()[-1])["seconds"])


if __name__ == "__main__":
    main()
