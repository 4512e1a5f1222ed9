"""Tell how many questions are answered that should be, and how many that should not.

Asks PIAF train its own questions, in French and in English and Dutch, and the questions of
DILA train, which are about something else. Never looks at the files that results are
reported on.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from data import arguments
from rich.console import Console
from rich.table import Table

from eval.dataset import Item
from eval.matching import contains
from eval.squad import load_squad, write_corpus
from rag import Citadelle
from rag.config import Settings
from rag.types import Answer


def main() -> None:
    """Print the table."""
    given = arguments(str(__doc__).split("\n", 1)[0], 200)
    piaf, xling = given.data / "piaf-train.json", given.data / "piaf-train-xling.jsonl"
    own = load_squad(piaf, limit=given.questions)
    foreign = load_squad(piaf, questions=xling, limit=given.questions)
    other = load_squad(given.data / "dila-train.json", limit=given.questions).items
    threshold = Settings.model_fields["abstain_below"].default
    table = Table("questions", "asked", "answered", "right", "right and answered")
    with tempfile.TemporaryDirectory() as folder:
        root = write_corpus(own.contexts, Path(folder))
        # Without a threshold every answer is seen, and what a threshold would withhold.
        with Citadelle.open(
            reader="none", corpus=root / "corpus", index=root / "index", abstain_below=0.0
        ) as citadelle:
            for name, items in {
                "PIAF, French": own.items,
                "PIAF, English and Dutch": foreign.items,
                "off topic, French": [item for item in other if item.lang == "fr"],
                "off topic, English and Dutch": [item for item in other if item.lang != "fr"],
            }.items():
                asked = [(item, citadelle.ask(item.question)) for item in items]
                answered = [pair for pair in asked if pair[1].confidence >= threshold]
                right = [pair for pair in asked if _right(*pair, on_topic="PIAF" in name)]
                kept = [pair for pair in right if pair in answered]
                table.add_row(name, *(str(len(pairs)) for pairs in (asked, answered, right, kept)))
    Console().print(table)


def _right(item: Item, answer: Answer, *, on_topic: bool) -> bool:
    return on_topic and any(
        citation.doc_id == item.doc and contains(citation.quote, item.evidence[0])
        for citation in answer.citations
    )


if __name__ == "__main__":
    main()
