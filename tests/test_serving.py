"""The page as a team has it: under a path, behind a login, with a provider of its own."""

from __future__ import annotations

import http.client
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from docs.screenshot import QUESTION, ROOT, find_chromium, free_port, serving
from tests.proxy import NAME, behind_nginx, find_nginx, running
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
        self.app = Starlette(routes=routes)

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
    port = free_port()
    provider = Provider(port)
    with running(provider.app, port):
        yield provider


@pytest.fixture(scope="module")
def direct() -> int:
    """Return the port of the page itself."""
    return free_port()


@pytest.fixture(scope="module")
def address(
    tmp_path_factory: pytest.TempPathFactory, provider: Provider, direct: int
) -> Iterator[str]:
    """Return the address of the page: behind nginx, with TLS, where that is installed."""
    folder = tmp_path_factory.mktemp("team")
    shutil.copytree(ROOT / "corpus", folder / "corpus")
    port = free_port()
    address = f"https://{NAME}:{port}" if find_nginx() else f"http://127.0.0.1:{direct}"
    address += "/citadelle"
    _write_secrets(folder, address, provider)
    (folder / "citadelle.toml").write_text(
        'login = true\nallowed_users = ["@example.org"]\nreader = "none"\nlanguage = "fr"\n'
        f'hosts = ["{NAME}"]\n'
    )
    options = {"port": direct, "path": "/citadelle", "folder": folder}
    with ExitStack() as stack:
        stack.enter_context(serving(folder / "corpus", folder / "index", **options))
        if find_nginx():
            stack.enter_context(behind_nginx(direct, port, tmp_path_factory.mktemp("nginx")))
        yield address


def _write_secrets(folder: Path, address: str, provider: Provider) -> None:
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "secrets.toml").write_text(
        "[auth]\n"
        f'redirect_uri = "{address}/oauth2callback"\n'
        f'cookie_secret = "{"0123456789abcdef" * 4}"\n'
        'client_id = "citadelle"\n'
        'client_secret = "secret"\n'
        f'server_metadata_url = "{provider.address}/.well-known/openid-configuration"\n'
    )


@pytest.fixture
def page(address: str, browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(f"{address}/")
    page.get_by_role("heading", name=WORDS.login_title).wait_for(timeout=PATIENCE)
    assert page.get_by_test_id("stChatInputTextArea").count() == 0
    yield page
    context.close()


def log_in(page: sync_api.Page, provider: Provider) -> sync_api.Locator:
    """Log Anna in, and return the box for questions."""
    provider.user = {"sub": "1", "name": "Anna Peeters", "email": "anna@example.org"}
    page.get_by_role("button", name=WORDS.login).click()
    box = page.get_by_test_id("stChatInputTextArea")
    box.wait_for(timeout=PATIENCE)
    return box


def test_who_logs_in_asks_under_the_path_and_can_leave(
    page: sync_api.Page, address: str, provider: Provider
) -> None:
    box = log_in(page, provider)
    assert urlsplit(page.url).path.rstrip("/") == urlsplit(address).path
    box.fill(QUESTION)
    box.press("Enter")
    page.locator(".cit-card mark").first.wait_for(timeout=PATIENCE)
    assert "Anna Peeters" in page.get_by_test_id("stSidebar").inner_text()
    # With TLS no cookie goes without it, and no script reads who logged in.
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies(address)}
    secure = address.startswith("https:")
    assert {cookie["secure"] for cookie in cookies.values()} == {secure}
    assert cookies["_streamlit_user"]["httpOnly"]
    # Still there when the page is loaded again.
    page.reload()
    box.wait_for(timeout=PATIENCE)
    page.get_by_role("button", name=WORDS.logout).click()
    page.get_by_role("heading", name=WORDS.login_title).wait_for(timeout=PATIENCE)
    assert box.count() == 0


def test_documents_are_uploaded_and_addresses_opened_under_the_path(
    page: sync_api.Page, address: str, provider: Provider
) -> None:
    log_in(page, provider)
    page.get_by_role("radio", name=WORDS.view_documents).click()
    page.get_by_text(WORDS.add).click()
    # More than proxies take unless they are told to.
    note = f"# Le moulin\n\nLe moulin a été bâti en 1610.\n\n<!--{'x' * 1_200_000}-->\n"
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
        [{"name": "moulin.md", "mimeType": "text/markdown", "buffer": note.encode()}]
    )
    page.get_by_role("button", name=WORDS.add_start).click()
    report = page.locator(".st-key-change-report")
    sync_api.expect(report).to_contain_text("moulin.md", timeout=PATIENCE)
    # Without the slash after the path, as people type it.
    page.goto(f"{address}?doc=moulin.md&at=13-41")
    mark = page.locator(".cit-document mark").first
    sync_api.expect(mark).to_have_text("Le moulin a été bâti en 1610", timeout=PATIENCE)


def test_who_is_not_on_the_list_is_told_so(page: sync_api.Page, provider: Provider) -> None:
    provider.user = {"sub": "2", "name": "Eve", "email": "eve@evil.example"}
    page.get_by_role("button", name=WORDS.login).click()
    refusal = page.locator(".cit-notice-warning")
    refusal.wait_for(timeout=PATIENCE)
    assert "eve@evil.example" in refusal.inner_text()
    assert page.get_by_test_id("stChatInputTextArea").count() == 0
    assert page.get_by_test_id("stSidebar").count() == 0


def test_the_headers_come_with_every_part_of_the_page(address: str, direct: int) -> None:
    for path in ("/", "/_stcore/health", "/favicon.png", "/missing"):
        connection = http.client.HTTPConnection("127.0.0.1", direct, timeout=10)
        connection.request("GET", f"/citadelle{path}")
        headers = connection.getresponse().headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        connection.close()
    connection = http.client.HTTPConnection("127.0.0.1", direct, timeout=10)
    connection.request("GET", "/citadelle/", headers={"Host": "rebound.example"})
    assert connection.getresponse().status == 403
    connection.close()
