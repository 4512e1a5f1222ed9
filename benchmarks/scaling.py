"""Measure search as the index grows: time, recall of the graph, memory, disk; draw the chart.

The passages are distinct, of real sentences. The first `--real` of them are read by the
encoder; each one after these takes the tokens of one of them, and its vector moved towards
that of another until it is as far from the first as passages are from their nearest.
Each size is searched in a process of its own. What was read is kept in `--work`, so that
a run that was stopped goes on. The chart and the figures go to `benchmarks/results`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import altair
import numpy as np
from data import distinct_passages, peak, write_files
from rich.console import Console
from rich.table import Table

from eval.squad import load_squad
from eval.statistics import percentile
from rag.chunking import passage_text
from rag.config import Settings, load_settings
from rag.encoder import E5Encoder, Progress, TokenVectors, Vectors, open_encoder
from rag.index import Index
from rag.indexing import build_index
from rag.retrieval import HybridRetriever

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
SIZES = (1_000, 10_000, 100_000)
# Questions of PIAF dev, which the passages answer or not: only the time matters.
QUESTIONS = 200
# Passages among which the nearest neighbours are looked for, to learn how far they are.
SAMPLE = 1_000
# Room for what the encoder has read of them.
CACHE_MIB = 8192


class GrownEncoder(E5Encoder):
    """The encoder, which has read the passages of a base already, and moves them for others."""

    def __init__(self, encoder: E5Encoder, base: Index) -> None:
        super().__init__(encoder.model, encoder.name)
        # What it makes up is nobody else's.
        self.identity = f"{encoder.identity} grown"
        self._base = base
        self._vectors = _vectors(base)
        self._known = {
            _digest(passage_text(base.documents[chunk.doc_id], chunk)): place
            for place, chunk in enumerate(base.chunks)
        }
        sample = self._vectors[:: max(1, len(self._vectors) // SAMPLE)]
        cosines = np.sort(sample @ self._vectors.T, axis=1)[:, -2]
        self._angle = float(np.arccos(np.clip(np.median(cosines), -1, 1)))

    def read_passages(
        self, texts: Sequence[str], progress: Progress | None = None
    ) -> Iterator[tuple[int, Vectors, TokenVectors]]:
        """Yield what the base has of a passage, or of another one, moved."""
        late = self._base.late
        for number, text in enumerate(texts):
            digest = _digest(text)
            place = self._known.get(digest)
            if place is None:
                place = int(digest[:8], 16) % len(self._vectors)
                vector = self._moved(place, int(digest[8:16], 16) % len(self._vectors))
            else:
                vector = self._vectors[place]
            spans = late.spans(place).astype(np.int64)
            tokens = late.codebook.unpack(late.codes(place))
            yield number, vector, TokenVectors(tokens, spans[:, 0], spans[:, 1])

    def _moved(self, place: int, towards: int) -> Vectors:
        vector, other = self._vectors[place], self._vectors[towards]
        aside = other - (vector @ other) * vector
        length = float(np.linalg.norm(aside))
        if length < 1e-6:
            return vector
        moved: Vectors = np.cos(self._angle) * vector + np.sin(self._angle) * aside / length
        return moved


def main() -> None:
    """Build, measure, print, save."""
    given = _arguments()
    if given.measure is not None:
        sys.stdout.write(json.dumps(measure(_settings(given.measure), given.data)) + "\n")
        return
    if not (given.data / "piaf-train.json").is_file():
        sys.stdout.write(f"Not run: there is no piaf-train.json in {given.data} (see --data).\n")
        return
    console = Console()
    encoder = open_encoder(load_settings())
    passages = distinct_passages(given.data, max(given.sizes))
    real = min(given.real, max(given.sizes))
    base = _built(given.work, passages[:real], encoder, console)
    grown = GrownEncoder(encoder, Index.open(_settings(base), encoder))
    rows = []
    for size in given.sizes:
        begin = time.perf_counter()
        folder = base if size == real else _built(given.work, passages[:size], grown, console)
        built = time.perf_counter() - begin
        run = subprocess.run(  # noqa: S603
            [sys.executable, __file__, "--measure", folder, "--data", given.data],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        row = json.loads(run.stdout.splitlines()[-1])
        rows.append({"files": size, "real": min(size, real), "built_s": built, **row})
        console.print(f"{row['passages']:,} passages: {row['search_ms'][0]:.0f} ms a question")
    console.print(_table(rows))
    if tuple(given.sizes) == SIZES:
        (RESULTS / "scaling.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="ascii")
        chart(rows).save(RESULTS / "scaling.svg")
        console.print("Saved: benchmarks/results/scaling.json and scaling.svg")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets"))
    parser.add_argument("--work", type=Path, default=Path(".citadelle/scaling"))
    parser.add_argument("--real", type=int, default=20_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _settings(folder: Path, cache_mib: int = 0) -> Settings:
    index, corpus = folder / "index", folder / "corpus"
    return load_settings(index=index, corpus=corpus, embedding_cache_mib=cache_mib)


def _built(work: Path, passages: Sequence[str], encoder: E5Encoder, console: Console) -> Path:
    """Return the folder with the index of some passages, each a file."""
    folder = work / str(len(passages))
    # What was made up is not to be found by anybody else.
    settings = _settings(folder, 0 if isinstance(encoder, GrownEncoder) else CACHE_MIB)
    write_files(settings.corpus, passages)
    with console.status(f"{len(passages):,} passages are indexed") as status:

        def progress(stage: str, done: int, total: int) -> None:
            status.update(f"{len(passages):,} passages are indexed: {stage} {done:,} / {total:,}")

        build_index([settings.corpus], settings, encoder, progress)
    return folder


def measure(settings: Settings, data: Path) -> dict[str, Any]:
    """Return what opening an index takes, and searching it with questions.

    Times in milliseconds are the median and the 95th percentile.
    """
    encoder = open_encoder(settings)
    asked = load_squad(data / "piaf-dev.json", limit=QUESTIONS).items
    questions = [item.question for item in asked]
    # What the encoder itself needs is the same for all sizes.
    vectors = encoder.encode_queries(questions)
    before = _resident()
    begin = time.perf_counter()
    index = Index.open(settings, encoder)
    opened = time.perf_counter() - begin
    retriever = HybridRetriever(index=index, encoder=encoder, candidates=settings.candidates)
    retriever.first_stage(questions[0])
    searched = [_timed(lambda q=question: retriever.first_stage(q)) for question in questions]
    held = _resident() - before
    stored = _vectors(index)
    depth = settings.candidates
    graph, exact, recall = [], [], []
    for vector in vectors:
        graph.append(_timed(lambda v=vector: index.dense(v, depth)))
        exact.append(_timed(lambda v=vector: np.argpartition(-(stored @ v), depth)))
        true = set(np.argsort(-(stored @ vector))[:depth].tolist())
        found = {place for place, _ in index.dense(vector, depth)}
        recall.append(len(true & found) / depth)
    parts = {
        path.name: sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
        if path.is_dir()
        else path.stat().st_size
        for path in index.folder.iterdir()
    }
    return {
        "passages": len(index.chunks),
        "open_s": opened,
        "search_ms": _spread(searched),
        "graph_ms": _spread(graph),
        "exact_ms": _spread(exact),
        "recall": float(np.mean(recall)),
        "memory_mib": held / 1024,
        "peak_mib": peak(),
        "disk_mib": {name: size / (1 << 20) for name, size in sorted(parts.items())},
    }


def _vectors(index: Index) -> Vectors:
    """Return the vectors of all passages; a database takes so many identifiers at a time."""
    places = range(len(index.chunks))
    parts = [index.vectors(places[i : i + SAMPLE]) for i in range(0, len(places), SAMPLE)]
    vectors: Vectors = np.concatenate(parts)
    return vectors


def _timed(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1000


def _spread(times: Sequence[float]) -> tuple[float, float]:
    return percentile(times, 50), percentile(times, 95)


def _resident() -> int:
    """Return the memory of this process, in KiB, without what is only mapped from files."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    return 0


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(
        "passages", "search p50", "p95", "graph p50", "exact p50", "recall@50", "memory", "disk"
    )
    first = rows[0]
    for row in rows:
        times = (row["search_ms"][0], row["search_ms"][1])
        firsts = (first["search_ms"][0], first["search_ms"][1])
        table.add_row(
            f"{row['passages']:,}",
            *(f"{t:.0f} ms ({t / f:.1f})" for t, f in zip(times, firsts, strict=True)),
            f"{row['graph_ms'][0]:.1f} ms",
            f"{row['exact_ms'][0]:.1f} ms",
            f"{row['recall']:.3f}",
            f"{row['memory_mib']:,.0f} MiB",
            f"{sum(row['disk_mib'].values()):,.0f} MiB",
        )
    return table


def chart(rows: Sequence[dict[str, Any]]) -> Any:
    """Return the chart of the four measures over the number of passages."""

    def panel(title: str, series: dict[str, Callable[[dict[str, Any]], float]], log: bool) -> Any:
        values = [
            {"passages": row["passages"], "value": read(row), "what": name}
            for row in rows
            for name, read in series.items()
        ]
        scale = altair.Scale(type="log") if log else altair.Scale(domain=[0.9, 1])
        return (
            altair.Chart(altair.Data(values=values), title=title, width=300, height=180)
            .mark_line(point=True)
            .encode(
                x=altair.X("passages:Q", scale=altair.Scale(type="log"), title="passages"),
                y=altair.Y("value:Q", scale=scale, title=None),
                color=altair.Color("what:N", title=None, legend=altair.Legend(orient="bottom")),
            )
        )

    return altair.vconcat(
        altair.hconcat(
            panel(
                "Time of a search, ms",
                {
                    "p50": lambda row: row["search_ms"][0],
                    "p95": lambda row: row["search_ms"][1],
                },
                True,
            ),
            panel("Recall of the graph's first 50", {"HNSW": lambda row: row["recall"]}, False),
        ).resolve_scale(color="independent"),
        altair.hconcat(
            panel("Memory, MiB", {"index": lambda row: row["memory_mib"]}, True),
            panel(
                "Disk, MiB",
                {
                    "all": lambda row: sum(row["disk_mib"].values()),
                    "token vectors": lambda row: row["disk_mib"]["late"],
                    "Chroma": lambda row: row["disk_mib"]["chroma"],
                },
                True,
            ),
        ).resolve_scale(color="independent"),
    ).resolve_scale(color="independent")


if __name__ == "__main__":
    main()
