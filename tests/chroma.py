"""A real Chroma server on this machine, and processes that stand for other machines.

    python -m tests.chroma index URL DATABASE FOLDER CORPUS
    python -m tests.chroma killed URL DATABASE FOLDER CORPUS PLACE
    python -m tests.chroma ask URL DATABASE FOLDER

FOLDER is what the machine has: its mirror of the index, and its cache. `killed` indexes and ends
with SIGKILL where the function PLACE of the server is called. `ask` answers each line of its
standard input with a JSON object on a line, after it looked for a newer index.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import httpx

from docs.screenshot import free_port
from rag.config import Settings
from rag.errors import CitadelleError

_PATIENCE_SECONDS = 60.0


class ChromaRun:
    """`chroma run` on loopback, which can be stopped and started again on its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        program = Path(sysconfig.get_path("scripts")) / "chroma"
        place = ["--path", str(self._folder), "--host", "127.0.0.1", "--port", str(self._port)]
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder.parent / "chroma.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "run", *place], stdout=log, stderr=log, cwd=self._folder.parent
            )
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                httpx.get(f"{self.url}/api/v2/heartbeat", timeout=5).raise_for_status()
                return
            except httpx.HTTPError:
                assert self._process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None


class Machine:
    """A process of `python -m tests.chroma ask` that is asked again and again."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._process = subprocess.Popen(
            command("ask", settings, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        record: dict[str, Any] = json.loads(self._process.stdout.readline())
        return record

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


def command(what: str, settings: Settings, folder: Path, *more: object) -> list[str]:
    """Return the command line of a process that stands for another machine."""
    place = [settings.chroma_url, settings.chroma_database, folder]
    return [sys.executable, "-m", "tests.chroma", what, *map(str, (*place, *more))]


def main() -> None:
    """Do what the arguments say."""
    what, url, database, folder = sys.argv[1:5]
    settings = Settings(
        index=Path(folder) / "index",
        cache=Path(folder) / "cache",
        chunk_tokens=64,
        chroma_url=url,
        chroma_database=database,
    )
    if what == "ask":
        _answer(settings)
        return
    from rag.indexing import build_index
    from tests.conftest import ToyEncoder

    if what == "killed":
        _die_in(sys.argv[6])
    try:
        report = build_index([Path(sys.argv[5])], settings, ToyEncoder())
        sys.stdout.write(json.dumps(report.to_dict()) + "\n")
    except CitadelleError as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")


def _answer(settings: Settings) -> None:
    from rag import pipeline
    from rag.index import Index
    from tests.conftest import ToyEncoder

    pipeline._LOOK_SECONDS = 0.0
    citadelle: pipeline.Citadelle | None = None
    for question in sys.stdin:
        try:
            if citadelle is None:
                encoder = ToyEncoder()
                citadelle = pipeline.Citadelle(settings, encoder, Index.open(settings, encoder))
            citadelle.refresh()
            answer = citadelle.answer(question, citadelle.search(question), abstain_below=0.0)
            record: dict[str, Any] = {"answer": answer.text, "stale": citadelle.is_stale()}
        except CitadelleError as error:
            record = {"error": str(error), "kind": type(error).__name__}
        sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()


def _die_in(place: str) -> None:
    from rag.chroma_server import ChromaServer

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(ChromaServer, place, die)


if __name__ == "__main__":
    main()
