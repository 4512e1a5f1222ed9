"""Cited question answering over French documents.

from rag import Citadelle

with Citadelle.open(corpus="corpus") as citadelle:
    print(citadelle.ask("Qui représente la Belgique à l'ECCG ?").text)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag.pipeline import Citadelle

__all__ = ["Citadelle", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Loading the models' libraries takes seconds, for which `citadelle --help` need not wait.
    if name != "Citadelle":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rag.pipeline import Citadelle

    return Citadelle
