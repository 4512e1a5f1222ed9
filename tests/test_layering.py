"""A module of `rag` imports only from those above it in the design."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ORDER = (
    "errors",
    "types",
    "config",
    "datafile",
    "logs",
    "tracing",
    "language",
    "sentences",
    "documents",
    "library",
    "chunking",
    "text_model",
    "encoder",
    "span_model",
    "support_network",
    "support_model",
    "lexical",
    "late",
    "embeddings",
    "aliases",
    "storage",
    "generations",
    "vectors",
    "chroma_server",
    "store",
    "index",
    "takeover",
    "indexing",
    "watching",
    "checkup",
    "reranking",
    "retrieval",
    "questions",
    "parts",
    "courtesies",
    "short_answers",
    "evidence",
    "confidence",
    "reader",
    "citation",
    "answering",
    "quantities",
    "names",
    "verification",
    "draft",
    "chat_model",
    "prompting",
    "writing",
    "phrases",
    "pronouns",
    "conversation",
    "rewriting",
    "feedback",
    "history",
    "pipeline",
    "speed",
    "mcp_server",
    "diagnosis",
    "printing",
    "cli",
)


def _files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _module(path: Path) -> str:
    return path.relative_to(ROOT / "rag").parts[0].removesuffix(".py")


def test_every_module_has_its_place() -> None:
    assert {_module(path) for path in _files("rag")} - {"__init__", "__main__"} == set(ORDER)


@pytest.mark.parametrize("path", _files("rag"), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_go_one_way(path: Path) -> None:
    module = _module(path)
    if module in ("__init__", "__main__"):
        return
    allowed = set(ORDER[: ORDER.index(module) + 1])
    used = {name.split(".")[1] for name in _imports(path) if name.startswith("rag.")}
    assert used & set(ORDER) <= allowed
    assert not any(name.split(".")[0] in ("eval", "app", "ui") for name in _imports(path))


def test_only_two_modules_import_chroma() -> None:
    importing = {_module(p) for p in _files("rag") if any("chromadb" in n for n in _imports(p))}
    assert importing == {"vectors", "chroma_server"}
