"""Cited question answering over French documents.

from rag import Citadelle

with Citadelle.open(corpus="corpus") as citadelle:
    print(citadelle.ask("Qui représente la Belgique à l'ECCG ?").text)
"""

from rag.pipeline import Citadelle

__all__ = ["Citadelle", "__version__"]

__version__ = "0.1.0"
