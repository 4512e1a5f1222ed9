"""The page as a team has it: under a path, behind a login, with a provider of its own."""

from __future__ import annotations

import http.client
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from docs.screenshot import QUESTION, ROOT, find_chromium, free_port, serving
from ui.texts import TEXTS

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium here")

SECONDS = 1000
PATIENCE = 120 * SECONDS
WORDS = TEXTS["fr"]


class Provider:
    """An OpenID Connect provider on this machine that lets in `user` without asking."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.user = {"sub": "1", "name": "Anna Peeters", "email": "anna@example.org"}
        self._key = RSAKey.generate_key(2048, {"kid": "one"})
        self._nonces: dict[str, str] = {}
        routes = [
            Route("/.well-known/openid-configuration", self._discovery),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/jwks", self._jwks),
        ]
        config = uvicorn.Config(Starlette(routes=routes), port=port, log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.05)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)

    async def _discovery(self, _: Request) -> JSONResponse:
        return JSONResponse(
            {
                "issuer": self.address,
                "authorization_endpoint": f"{self.address}/authorize",
                "token_endpoint": f"{self.address}/token",
                "jwks_uri": f"{self.address}/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    async def _authorize(self, request: Request) -> RedirectResponse:
        asked = request.query_params
        code = f"code-{len(self._nonces)}"
        self._nonces[code] = asked["nonce"]
        answer = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{answer}", 302)

    async def _token(self, request: Request) -> JSONResponse:
        code = str((await request.form())["code"])
        now = int(time.time())
        claims = self.user | {
            "iss": self.address,
            "aud": "citadelle",
            "iat": now,
            "exp": now + 600,
            "nonce": self._nonces.pop(code),
        }
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self._key)
        return JSONResponse({"access_token": "a", "token_type": "Bearer", "id_token": token})

    async def _jwks(self, _: Request) -> JSONResponse:
        return JSONResponse({"keys": [self._key.as_dict(private=False)]})


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    provider = Provider(free_port())
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("team")
    shutil.copytree(ROOT / "corpus", folder / "corpus")
    port = free_port()
    _write_secrets(folder, port, provider)
    (folder / "citadelle.toml").write_text(
        'login = true\nallowed_users = ["@example.org"]\nreader = "none"\nlanguage = "fr"\n'
    )
    options = {"port": port, "path": "/citadelle", "folder": folder}
    with serving(folder / "corpus", folder / "index", **options) as address:
        yield address


def _write_secrets(folder: Path, port: int, provider: Provider) -> None:
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "secrets.toml").write_text(
        "[auth]\n"
        f'redirect_uri = "http://127.0.0.1:{port}/citadelle/oauth2callback"\n'
        f'cookie_secret = "{"0123456789abcdef" * 4}"\n'
        'client_id = "citadelle"\n'
        'client_secret = "secret"\n'
        f'server_metadata_url = "{provider.address}/.well-known/openid-configuration"\n'
    )


@pytest.fixture
def page(address: str, browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}/")
    page.get_by_role("heading", name=WORDS.login_title).wait_for(timeout=PATIENCE)
    assert page.get_by_test_id("stChatInputTextArea").count() == 0
    yield page
    context.close()


def test_who_logs_in_asks_under_the_path_and_can_leave(
    page: sync_api.Page, address: str, provider: Provider
) -> None:
    provider.user = {"sub": "1", "name": "Anna Peeters", "email": "anna@example.org"}
    page.get_by_role("button", name=WORDS.login).click()
    box = page.get_by_test_id("stChatInputTextArea")
    box.wait_for(timeout=PATIENCE)
    assert urlsplit(page.url).path.rstrip("/") == urlsplit(address).path
    box.fill(QUESTION)
    box.press("Enter")
    page.locator(".cit-card mark").first.wait_for(timeout=PATIENCE)
    assert "Anna Peeters" in page.get_by_test_id("stSidebar").inner_text()
    # Still there when the page is loaded again.
    page.reload()
    box.wait_for(timeout=PATIENCE)
    page.get_by_role("button", name=WORDS.logout).click()
    page.get_by_role("heading", name=WORDS.login_title).wait_for(timeout=PATIENCE)
    assert box.count() == 0


def test_who_is_not_on_the_list_is_told_so(page: sync_api.Page, provider: Provider) -> None:
    provider.user = {"sub": "2", "name": "Eve", "email": "eve@evil.example"}
    page.get_by_role("button", name=WORDS.login).click()
    refusal = page.locator(".cit-notice-warning")
    refusal.wait_for(timeout=PATIENCE)
    assert "eve@evil.example" in refusal.inner_text()
    assert page.get_by_test_id("stChatInputTextArea").count() == 0
    assert page.get_by_test_id("stSidebar").count() == 0


def test_the_headers_come_with_every_part_of_the_page(address: str) -> None:
    place = urlsplit(address)
    for path in ("/", "/_stcore/health", "/favicon.png", "/missing"):
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
        connection.request("GET", f"{place.path}{path}")
        headers = connection.getresponse().headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        connection.close()
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    connection.request("GET", f"{place.path}/", headers={"Host": "rebound.example"})
    assert connection.getresponse().status == 403
    connection.close()
