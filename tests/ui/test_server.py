"""What a browser is told, and who is answered at all."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import streamlit
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.conftest import ROOT
from ui.scripts import SCRIPTS
from ui.server import HEADERS, Guard, guards, policy

TALK = "ws://127.0.0.1:8501/talk"


def client(*hosts: str, base: str = "http://127.0.0.1:8501") -> TestClient:
    """Return a browser of a small application behind the guard."""

    async def plain(_: Request) -> PlainTextResponse:
        return PlainTextResponse("inside", headers={"X-Frame-Options": "ALLOWALL"})

    async def stream(_: Request) -> StreamingResponse:
        return StreamingResponse(iter(["in", "side"]))

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    app = Starlette(
        routes=[Route("/", plain), Route("/stream", stream), WebSocketRoute("/talk", talk)]
    )
    return TestClient(Guard(app, hosts), base_url=base)


@pytest.mark.parametrize("path", ["/", "/stream", "/missing"])
def test_every_answer_carries_every_header_once(path: str) -> None:
    response = client().get(path)
    for name, value in HEADERS.items():
        assert response.headers.get_list(name) == [value]
    assert response.text == ("Not Found" if path == "/missing" else "inside")


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("localhost:8501", True),
        ("192.168.1.20", True),
        ("[::1]:8501", True),
        ("docs.example.org", True),
        ("Docs.Example.org.", True),
        # Leads to this machine, and belongs to someone else.
        ("rebound.example", False),
        ("docs.example.org.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_only_known_names_are_answered(host: str, answered: bool) -> None:
    browser = client("docs.example.org")
    response = browser.get("/", headers={"Host": host})
    assert (response.status_code, response.text == "inside") == (
        (200, True) if answered else (403, False)
    )
    if not answered:
        assert "setting 'hosts'" in response.text
        assert response.headers["content-security-policy"] == HEADERS["content-security-policy"]


@pytest.mark.parametrize(
    ("origin", "answered"),
    [
        ("http://127.0.0.1:8501", True),
        ("https://127.0.0.1:8501", True),  # A proxy may speak TLS.
        ("http://127.0.0.1:9999", False),
        ("https://evil.example", False),
        ("null", False),
    ],
)
def test_other_sites_are_not_answered(origin: str, answered: bool) -> None:
    browser = client()
    assert browser.get("/", headers={"Origin": origin}).status_code == (200 if answered else 403)
    if answered:
        with browser.websocket_connect(TALK, headers={"Origin": origin}) as socket:
            socket.send_text("echo")
            assert socket.receive_text() == "echo"
    else:
        with (
            pytest.raises(WebSocketDisconnect) as refused,
            browser.websocket_connect(TALK, headers={"Origin": origin}),
        ):
            pytest.fail("It was answered.")
        assert refused.value.code == 1008


def test_the_policy_allows_the_given_scripts_and_no_others() -> None:
    # printf alert | openssl dgst -sha256 -binary | base64
    digest = "'sha256-35BQWN1npAn++BSA6B5HNlcrDttNf7mHxpXNB+Jg7IE='"
    assert f"script-src 'self' blob: 'wasm-unsafe-eval' {digest};" in policy(["alert", "alert"])
    rules = dict(rule.split(" ", 1) for rule in HEADERS["content-security-policy"].split("; "))
    assert "'unsafe-" not in rules["script-src"]
    assert rules["default-src"] == rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["form-action"] == rules["object-src"] == "'none'"
    assert not re.search(r"https?:|\*", HEADERS["content-security-policy"])


def test_the_scripts_of_the_page_are_named_in_the_policy() -> None:
    index = Path(streamlit.__file__).parent / "static" / "index.html"
    (inline,) = re.findall(r"<script>(.*?)</script>", index.read_text("utf-8"), re.DOTALL)
    report = (ROOT / "eval/report/templates/page.js").read_text("utf-8")
    for script in (inline, report, *SCRIPTS):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in HEADERS["content-security-policy"]


def test_names_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITADELLE_HOSTS", "docs.example.org, wiki.example.org")
    (guard,) = guards()
    assert guard.kwargs == {"hosts": ("docs.example.org", "wiki.example.org")}
    # Settings that are wrong do not keep the page, which says so, from being served.
    monkeypatch.setenv("CITADELLE_PORT", "none")
    (guard,) = guards()
    assert guard.kwargs == {"hosts": ()}


LEVELS = """
import json
import logging

import uvicorn
from streamlit import config
from streamlit.logger import get_logger

config.get_config_options()
from ui.server import set_up_observing

set_up_observing()
# As Streamlit makes it, which sets up the logs of the server once more.
uvicorn.Config(lambda: None)
get_logger("streamlit.new")
names = ("uvicorn", "uvicorn.error", "streamlit.new", "streamlit.logger")
print(json.dumps([logging.getLevelName(logging.getLogger(n).getEffectiveLevel()) for n in names]))
"""


@pytest.mark.parametrize(
    ("wished", "level"),
    [("error", "ERROR"), ("warning", "WARNING"), ("auto", "INFO"), ("debug", "INFO")],
)
def test_the_level_of_the_logs_holds_for_what_serves_the_page(
    wished: str, level: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEVELS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CITADELLE_LOG_LEVEL": wished},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {level}
