"""Take the pictures: `python docs/screenshot.py` writes screenshot.png and evaluation.png.

The page is served from a temporary index of `corpus/`, and the report is of the questions
in `eval/dev.jsonl`; nothing outside this machine is asked for anything. Needs the package
playwright and a Chromium.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
QUESTION: Final = "Who represents Belgium in ECCG?"
CHROMIUM_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
# Chromium speaks to its maker at every start unless it is told not to.
CHROMIUM_OPTIONS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_START_SECONDS: Final = 300.0


def find_chromium() -> str | None:
    """Return the path of a Chromium on this machine, or None."""
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


def free_port() -> int:
    """Return a port that nothing on this machine uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    corpus: Path, index: Path, *, port: int = 0, path: str = "", folder: Path = ROOT
) -> Iterator[str]:
    """Serve the page over a corpus, indexed into `index`, from a folder; give its address."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}{path}"
    # A browser without a person has the language of its maker.
    environment = {"CITADELLE_LANGUAGE": "fr"} | os.environ
    environment |= {"CITADELLE_CORPUS": str(corpus), "CITADELLE_INDEX": str(index)}
    environment["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 -- this interpreter, with options of ours
            [sys.executable, "-m", "rag", "serve", "--port", str(port), "--base-path", path],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _healthy(port, path):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"The page did not start:\n{log.read().decode()}")
                time.sleep(0.3)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _healthy(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", f"{path}/_stcore/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _measure(report: Path) -> None:
    arguments = ["run", "eval/dev.jsonl", "--corpus", "corpus", "--html", str(report)]
    subprocess.run(  # noqa: S603 -- this interpreter, with options of ours
        [sys.executable, "-m", "eval", *arguments], cwd=ROOT, check=True, capture_output=True
    )


def main() -> None:
    """Ask the question and open the report in a real browser, and write the pictures."""
    from playwright.sync_api import sync_playwright

    chromium = find_chromium()
    if chromium is None:
        raise SystemExit(f"No Chromium found; install one of: {', '.join(CHROMIUM_NAMES)}.")
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(ROOT / "corpus", Path(folder) / "index") as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        page = browser.new_page(
            viewport={"width": 1280, "height": 800}, device_scale_factor=2, color_scheme="light"
        )
        page.goto(address)
        box = page.get_by_test_id("stChatInputTextArea")
        box.wait_for(timeout=_START_SECONDS * 1000)
        box.fill(QUESTION)
        box.press("Enter")
        page.locator(".cit-card mark").first.wait_for(timeout=120_000)
        page.wait_for_timeout(1000)
        page.screenshot(path=ROOT / "docs" / "screenshot.png")
        report = Path(folder) / "report.html"
        _measure(report)
        page = browser.new_page(
            viewport={"width": 1280, "height": 1000}, device_scale_factor=2, color_scheme="light"
        )
        page.goto(report.as_uri())
        page.screenshot(path=ROOT / "docs" / "evaluation.png")
        browser.close()


if __name__ == "__main__":
    main()
