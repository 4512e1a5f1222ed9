"""What `citadelle doctor` finds out, from the packages to the language model."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from rag.checkup import Finding
from rag.config import NO_READER, Settings, load_settings
from rag.encoder import Encoder, Progress
from rag.errors import CitadelleError

__all__ = ["diagnose"]


def diagnose(index_folder: Path | None, progress: Progress | None = None) -> Iterator[Finding]:
    """Yield what was looked at, in the order in which one thing needs another."""
    from rag.checkup import examine_disk, examine_files, examine_index, examine_server
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
