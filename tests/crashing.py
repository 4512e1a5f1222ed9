"""Processes that are killed while they index, or all work at once, for `test_crashes.py`.

    python -m tests.crashing kill CORPUS INDEX EVENTS TIMES
    python -m tests.crashing crowd CORPUS INDEX SECONDS

`kill` indexes CORPUS again and again in a child process that is killed with SIGKILL: at EVENTS
places spread over what its Python code does (lines of the modules that write, files opened,
renamed and removed), and after TIMES spread over how long it takes, which falls into Chroma's own
threads too. After each, another child opens the index and says what it holds. Prints one JSON
object a line. `crowd` lets two processes index and four read for so many seconds, and prints
what each of them did. Forking keeps the imports, which take longer than everything else.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import chromadb.config  # noqa: F401 - imported once, for all children

from rag.config import Settings
from rag.errors import IndexBusy
from rag.index import Index
from rag.indexing import build_index
from tests.conftest import ToyEncoder

WATCHED = (
    "indexing.py",
    "store.py",
    "vectors.py",
    "generations.py",
    "storage.py",
    "late.py",
    "embeddings.py",
    "takeover.py",
)
EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


def main() -> None:
    """Do what the arguments say."""
    command, corpus, index = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    settings = Settings(corpus=corpus, index=index, cache=index.parent / "cache", chunk_tokens=64)
    if command == "kill":
        _kill(settings, int(sys.argv[4]), int(sys.argv[5]))
    else:
        _crowd(settings, float(sys.argv[4]))


def _kill(settings: Settings, events: int, times: int) -> None:
    _child(lambda: _counted(settings))
    _change(settings.corpus, "0")
    _, seconds = json.loads(_child(lambda: _counted(settings))[0])
    # Taking over from a generation is counted too.
    _change(settings.corpus, "1")
    total, _ = json.loads(_child(lambda: _counted(settings, sys.maxsize))[0])
    # Half of them at the end, where the manifest is written and the generation goes live.
    late = events // 2
    places = [1 + i * (total - 61) // (events - late) for i in range(events - late)]
    places += [total - 60 + i * 60 // late for i in range(late)]
    for number, last in enumerate(places):
        _change(settings.corpus, f"e{number}")
        _, killed = _child(lambda at=last: _counted(settings, at))
        _report(settings, f"event {last} of {total}", killed)
    for number in range(times):
        _change(settings.corpus, f"t{number}")
        after = seconds * (number + 1) / (times + 1)
        _, killed = _child(lambda: _counted(settings), kill_after=after)
        _report(settings, f"after {after:.3f} s", killed)
    # Whatever is left behind hinders nothing.
    _child(lambda: _counted(settings))
    _report(settings, "end", killed=False)


def _crowd(settings: Settings, seconds: float) -> None:
    until = time.monotonic() + seconds
    _child(lambda: _counted(settings))
    running = [_start(lambda name=name: _write_until(settings, name, until)) for name in "ab"]
    running += [_start(lambda: _read_until(settings, until)) for _ in range(4)]
    for pid, pipe in running:
        said, killed = _finish(pid, pipe)
        _say({"errors": ["killed"]} if killed else json.loads(said))


def _write_until(settings: Settings, name: str, until: float) -> str:
    built = busy = 0
    errors = []
    while time.monotonic() < until:
        _change(settings.corpus, f"{name}{built}")
        try:
            build_index([settings.corpus], settings, ToyEncoder())
            built += 1
        except IndexBusy:
            busy += 1
            time.sleep(0.02)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
    return json.dumps({"built": built, "busy": busy, "errors": errors})


def _read_until(settings: Settings, until: float) -> str:
    seen: list[str] = []
    errors = []
    while time.monotonic() < until:
        record = json.loads(_ask(settings))
        if "error" in record:
            errors.append(record["error"])
            continue
        if seen and record["generation"] < seen[-1]:
            errors.append(f"{record['generation']} after {seen[-1]}")
        text = record["documents"]["projet.md"].strip().splitlines()[-1]
        if record["found"] != ["projet.md", text, 1.0]:
            errors.append(f"{record['found']} in {text}")
        seen.append(record["generation"])
    return json.dumps({"opened": len(seen), "generations": len(set(seen)), "errors": errors})


def _say(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")


def _change(corpus: Path, version: str) -> None:
    # In one step, as another process may read it.
    draft = corpus / f".{version}"
    draft.write_text(f"# Le projet\n\nLe projet {version} est au Niger.\n")
    draft.replace(corpus / "projet.md")


def _report(settings: Settings, place: str, killed: bool) -> None:
    answer, crashed = _child(lambda: _ask(settings))
    record = json.loads(answer) if not crashed else {"error": "the reader was killed"}
    left = sorted(path.name for path in settings.index.iterdir() if path.is_dir())
    now = (settings.corpus / "projet.md").read_text()
    _say({"place": place, "killed": killed, "left": left, "now": now, **record})


def _ask(settings: Settings) -> str:
    encoder = ToyEncoder()
    try:
        index = Index.open(settings, encoder)
        ((position, score), *_) = index.dense(encoder.encode_queries(["Niger"])[0], 1)
        found = index.chunks[position]
        record: dict[str, Any] = {
            "generation": index.folder.name,
            "documents": {name: document.text for name, document in index.documents.items()},
            "found": [found.doc_id, found.text, round(score, 3)],
        }
        index.close()
    except Exception as error:
        record = {"error": f"{type(error).__name__}: {error}"}
    return json.dumps(record)


def _counted(settings: Settings, last: int | None = None) -> str:
    """Index; with `last`, count events and stop this process for good at that one."""
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS and str(settings.index) in str(arguments):
            count()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if Path(frame.f_code.co_filename).name not in WATCHED:
            return None
        if event == "line":
            count()
        return trace

    if last is not None:
        sys.addaudithook(audit)
        sys.settrace(trace)
    begin = time.perf_counter()
    build_index([settings.corpus], settings, ToyEncoder())
    sys.settrace(None)
    return json.dumps([seen, time.perf_counter() - begin])


def _child(work: Callable[[], str], kill_after: float | None = None) -> tuple[str, bool]:
    """Return what a child process returned, and whether it was killed."""
    pid, pipe = _start(work)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
    return _finish(pid, pipe)


def _start(work: Callable[[], str]) -> tuple[int, int]:
    reading, writing = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        os.close(reading)
        os.write(writing, work().encode())
        # Without the clean-up of the parent's modules.
        os._exit(0)
    os.close(writing)
    return pid, reading


def _finish(pid: int, reading: int) -> tuple[str, bool]:
    with os.fdopen(reading, encoding="utf-8") as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    return said, os.WIFSIGNALED(status)


if __name__ == "__main__":
    main()
