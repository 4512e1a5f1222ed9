"""Nothing leaves the machine: no connection is tried, and no library reports home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from rag.config import Settings
from rag.indexing import build_index
from tests.conftest import CORPUS, ROOT, ToyEncoder

# Runs before anything else is imported. Python raises these events wherever a socket is
# used, and nothing can take the hook away; `connect` looks a name up before it raises its
# event, so that the methods are watched as well.
GUARD = """
import socket
import sys

ATTEMPTS = []
LOOPBACK = ("127.", "::1", "localhost")


def refuse(event, where):
    # A path is a socket of this machine; no name at all is one to listen on.
    if where and not where.startswith(LOOPBACK):
        ATTEMPTS.append(f"{event} {where}")
        raise OSError(f"blocked: {event} {where}")


def host(address):
    return str(address[0] or "") if isinstance(address, tuple) else ""


def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        refuse(event, host(arguments[1]))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        refuse(event, str(arguments[0] or ""))


def watched(name, method):
    def call(self, address):
        refuse(name, host(address))
        return method(self, address)

    return call


for name in ("connect", "connect_ex"):
    setattr(socket.socket, name, watched(name, getattr(socket.socket, name)))
sys.addaudithook(watch)
"""

BLOCKED = """
import contextlib
import socket

for address in ("192.0.2.1", "example.org"):
    with socket.socket() as probe:
        with contextlib.suppress(OSError):
            probe.connect((address, 80))
        with contextlib.suppress(OSError):
            probe.connect_ex((address, 80))
    with contextlib.suppress(OSError):
        socket.getaddrinfo(address, 80)
with socket.socket(type=socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
    probe.sendto(b"", ("192.0.2.1", 53))
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
print(len(ATTEMPTS))
"""

ASK = """
import json
import sys
from pathlib import Path

from rag import Citadelle

citadelle = Citadelle.open(corpus=sys.argv[1], index=Path(sys.argv[2]))
answer = citadelle.ask("Who represents Belgium in ECCG?")
citadelle.retriever.invoke("Qui représente la Belgique ?", k=1)

import huggingface_hub.constants

print(json.dumps({
    "attempts": ATTEMPTS,
    "quote": answer.citations[0].quote,
    "hub telemetry off": huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY,
}))
"""

# What would make the libraries stay at home by themselves, or call someone on purpose.
SWITCHES = ("HF_", "TRANSFORMERS_", "ANONYMIZED_", "CHROMA_", "LANGCHAIN_", "LANGSMITH_")


def run(code: str, *arguments: object, cwd: Path) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith((*SWITCHES, "CITADELLE_", "DO_NOT_TRACK"))
        and not name.lower().endswith("_proxy")
    }
    done = subprocess.run(
        [sys.executable, "-c", GUARD + code, *map(str, arguments)],
        cwd=cwd,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_the_guard_sees_every_attempt(tmp_path: Path) -> None:
    # An address and a name, three calls each, and a datagram; loopback passes.
    assert run(BLOCKED, cwd=tmp_path) == "7"


def test_indexing_and_asking_try_no_connection(tmp_path: Path) -> None:
    told = json.loads(run(ASK, CORPUS, tmp_path / "index", cwd=tmp_path))
    assert told["attempts"] == []
    assert "(NCCA-BE)" in told["quote"]
    assert told["hub telemetry off"] is True


def test_telemetry_of_chroma_is_off_whatever_the_surroundings_say(
    settings: Settings, toy: ToyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import chromadb

    # Chroma reads these two.
    monkeypatch.setenv("ANONYMIZED_TELEMETRY", "True")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("ANONYMIZED_TELEMETRY=True\n")
    seen: list[bool] = []
    client = chromadb.PersistentClient

    def watched(path: str, settings: Any) -> Any:
        seen.append(settings.anonymized_telemetry)
        return client(path=path, settings=settings)

    monkeypatch.setattr(chromadb, "PersistentClient", watched)
    build_index([settings.corpus], settings, toy)
    assert seen
    assert not any(seen)


def test_statistics_of_the_page_are_off() -> None:
    page = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert page["browser"]["gatherUsageStats"] is False
    assert page["server"]["address"] == "127.0.0.1"
