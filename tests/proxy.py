"""Servers for the tests: an application in a thread, and nginx as `docs/deploy` sets it up."""

from __future__ import annotations

import datetime
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.types import ASGIApp

from docs.screenshot import ROOT, free_port

# Browsers lead every name below localhost to this machine.
NAME = "documents.localhost"
CERTIFICATE = "certificate.pem"
_START_SECONDS = 20.0
_FRAME = """
user root;
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    include {folder}/citadelle.conf;
}}
"""


def find_nginx() -> str | None:
    """Return the path of nginx, or None; the folder that it is in is not on everybody's path."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def running(app: ASGIApp, port: int) -> Iterator[None]:
    """Serve an application on this machine, in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.05)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=10)


@contextmanager
def behind_nginx(upstream: int, port: int, folder: Path, plain: int = 0) -> Iterator[None]:
    """Put nginx before the port `upstream`, as the shipped file says, speaking TLS on `port`.

    Without TLS it listens on `plain`. The certificate is in the file `CERTIFICATE` of the folder.
    """
    nginx = find_nginx()
    assert nginx is not None
    _certify(folder)
    (folder / "citadelle.conf").write_text(_filled_in(upstream, port, plain or free_port(), folder))
    settings = folder / "nginx.conf"
    settings.write_text(_FRAME.format(folder=folder))
    log = folder / "log.txt"
    with log.open("w") as errors:
        command = [nginx, "-e", "stderr", "-p", str(folder), "-c", str(settings)]
        process = subprocess.Popen(command, stdout=errors, stderr=errors)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def _filled_in(upstream: int, port: int, plain: int, folder: Path) -> str:
    """Return the shipped file with what an administrator puts in place of the examples."""
    text = (ROOT / "docs" / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    for shipped, own in {
        "documents.example.org;": f"{NAME};",
        "/etc/ssl/certs/documents.example.org.pem": f"{folder}/{CERTIFICATE}",
        "/etc/ssl/private/documents.example.org.key": f"{folder}/key.pem",
        "http://127.0.0.1:8501": f"http://127.0.0.1:{upstream}",
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        # Not every machine that runs tests has addresses of this kind.
        "    listen [::]:443 ssl http2;\n": "",
        "    listen [::]:80;\n": "",
    }.items():
        assert shipped in text, shipped
        text = text.replace(shipped, own)
    return text


def _certify(folder: Path) -> None:
    """Write a key and a certificate for `NAME` that the key itself has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / CERTIFICATE).write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False
