"""A Chroma server that holds an index for several machines: vectors, files, pointer, lock.

::

    citadelle-live            metadata: the live generation, and the one before it
    citadelle-writer          there while a process writes; metadata: which, and when it last was
    citadelle-<generation>-vectors
    citadelle-<generation>-files      the other files, as pieces of one archive

What is there and not named by `citadelle-live` was left by a writer that was killed. Making a
collection of a name that is taken fails, and metadata are replaced as a whole: the lock and the
pointer rest on that.
"""

from __future__ import annotations

import base64
import gzip
import re
import secrets
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rag.config import Settings
from rag.encoder import Vectors
from rag.errors import (
    CitadelleError,
    IndexBusy,
    IndexDamaged,
    IndexMissing,
    IndexUnreachable,
    Message,
)
from rag.generations import REPAIR, Writer, is_name, this_writer
from rag.types import Chunk
from rag.vectors import VectorStore, add_vectors

__all__ = ["ChromaServer", "Hold", "Pointer", "connect"]

STALE_SECONDS = 60.0
_BEAT_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 60.0
_PIECE_BYTES = 1 << 20
_LIVE = "citadelle-live"
_WRITER = "citadelle-writer"
_PART = re.compile(r"citadelle-(\d{8}T\d{12}Z)-(?:vectors|files)")
_LEFT = re.compile(rf"{_WRITER}-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Pointer:
    """The live generation, and the one to go back to, empty where there is none."""

    live: str
    before: str


def connect(settings: Settings, *, make: bool = False) -> ChromaServer:
    """Return the server that the settings name; `make` makes its database where it is missing.

    Raises `IndexMissing` where it has no such database, and `IndexUnreachable`.
    """
    place = (settings.chroma_url.rstrip("/"), settings.chroma_tenant, settings.chroma_database)
    fields = tuple(settings.header_fields().items())
    if make:
        with _explained(place[0]):
            _make_database(*place, fields)
    return _connected(*place, fields)


# Connecting takes three requests; what failed is not kept.
@lru_cache(maxsize=4)
def _connected(
    url: str, tenant: str, database: str, fields: tuple[tuple[str, str], ...]
) -> ChromaServer:
    import chromadb

    with _explained(url):
        _knock(url, dict(fields))
        try:
            client = chromadb.HttpClient(
                host=url,
                ssl=url.startswith("https:"),
                headers=dict(fields),
                tenant=tenant,
                database=database,
                settings=_chroma_settings(),
            )
        except _not_found() as error:
            raise IndexMissing(
                "{server} has no database '{database}' of tenant '{tenant}'; check "
                "'chroma_database' and 'chroma_tenant', or run 'citadelle index' to make them.",
                server=url,
                database=database,
                tenant=tenant,
            ) from error
        _limit(client)
    return ChromaServer(url, client)


def _make_database(
    url: str, tenant: str, database: str, fields: tuple[tuple[str, str], ...]
) -> None:
    import chromadb
    from chromadb.errors import NotFoundError

    settings = _chroma_settings()
    settings.chroma_api_impl = "chromadb.api.fastapi.FastAPI"
    settings.chroma_server_host = url
    settings.chroma_server_http_port = 0
    settings.chroma_server_ssl_enabled = url.startswith("https:")
    settings.chroma_server_headers = dict(fields)
    admin = chromadb.AdminClient(settings)
    _limit(admin)
    try:
        admin.get_tenant(tenant)
    except NotFoundError:
        admin.create_tenant(tenant)
    try:
        admin.get_database(database, tenant)
    except NotFoundError:
        admin.create_database(database, tenant)


def _chroma_settings() -> Any:
    from chromadb.config import Settings as ChromaSettings

    # Chroma reads a `.env` of the current folder and variables of its own otherwise.
    return ChromaSettings(
        _env_file=None,  # type: ignore[call-arg]
        anonymized_telemetry=False,
        chroma_server_host=None,
        chroma_server_http_port=None,
        chroma_client_auth_provider=None,
    )


def _knock(url: str, headers: dict[str, str]) -> None:
    """Ask whether it answers, as Chroma's client waits for ever when it connects."""
    import httpx

    timeout = httpx.Timeout(_CONNECT_SECONDS)
    httpx.get(f"{url}/api/v2/heartbeat", headers=headers, timeout=timeout).raise_for_status()


def _limit(client: Any) -> None:
    import httpx

    # It waits for ever later too, and has no setting for it.
    client._server._session.timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)


class ChromaServer:
    """What a Chroma server holds of the index. Every call may raise `IndexUnreachable`."""

    def __init__(self, url: str, client: Any) -> None:
        self.url = url
        self._client = client

    def version(self) -> str:
        """Return the version of the server."""
        with _explained(self.url):
            return str(self._client.get_version())

    # --- Which generation is live ---------------------------------------------------------

    def pointer(self) -> Pointer | None:
        """Return which generation is live, or None when there is none yet."""
        collection = self._collection(_LIVE)
        if collection is None:
            return None
        found = collection.metadata or {}
        live, before = str(found.get("live", "")), str(found.get("before", ""))
        if not is_name(live) or not (before == "" or is_name(before)):
            # They become names of folders.
            raise IndexDamaged(
                "The index on {server} names no generation. {repair}",
                server=self.url,
                repair=REPAIR,
            )
        return Pointer(live, before)

    def point(self, pointer: Pointer) -> None:
        """Make a generation the live one, in one step."""
        collection = self._collection(_LIVE)
        with _explained(self.url):
            if collection is None:
                self._client.create_collection(
                    _LIVE, metadata=asdict(pointer), embedding_function=None
                )
            else:
                collection.modify(metadata=asdict(pointer))

    def sweep(self, keep: Sequence[str]) -> None:
        """Remove every other generation, and what a writer that was killed left behind."""
        with _explained(self.url):
            names = [collection.name for collection in self._client.list_collections()]
        for name in names:
            part = _PART.fullmatch(name)
            if (part and part[1] not in keep) or _LEFT.fullmatch(name):
                self._delete(name)

    # --- Who writes -----------------------------------------------------------------------

    def writer(self) -> Writer | None:
        """Return the process that writes, or None; one that was killed counts for a minute."""
        collection = self._collection(_WRITER)
        if collection is None or self._is_stale(collection):
            return None
        return _writer(collection)

    @contextmanager
    def writing(self) -> Iterator[Hold]:
        """Be the one process of all machines that writes; raises `IndexBusy`, names the other."""
        hold = Hold(self, self._take())
        try:
            yield hold
        finally:
            hold.release()

    def _take(self) -> Any:
        found = self._collection(_WRITER)
        if found is not None and self._is_stale(found):
            self.put_away(found)
        try:
            with _explained(self.url):
                about = {**asdict(this_writer()), "beat": self.clock()}
                return self._client.create_collection(
                    _WRITER, metadata=about, embedding_function=None
                )
        except IndexUnreachable:
            found = self._collection(_WRITER)
            if found is None:
                raise
            holder = _writer(found)
            if holder is None:
                raise IndexBusy(
                    "Another process is writing the index in {folder}; try again when it is done.",
                    folder=self.url,
                ) from None
            raise IndexBusy(
                "Another process ({process}) is writing the index on {server}; try again when it "
                "is done, or in a minute if it was stopped.",
                process=holder.message,
                server=self.url,
            ) from None

    def put_away(self, collection: Any) -> None:
        """Remove a lock, and never another that has taken its name since."""
        name = f"{_WRITER}-{secrets.token_hex(8)}"
        with _explained(self.url), suppress(_not_found()):
            # By its identifier, where deleting goes by name.
            collection.modify(name=name)
            self._client.delete_collection(name)

    def holds(self, collection: Any) -> bool:
        """Return whether a lock is the one in force."""
        found = self._collection(_WRITER)
        return found is not None and found.id == collection.id

    def clock(self) -> int:
        """Return the server's time in nanoseconds: those of the machines may differ."""
        with _explained(self.url):
            return int(self._client.heartbeat())

    def _is_stale(self, collection: Any) -> bool:
        beat = (collection.metadata or {}).get("beat", 0)
        return self.clock() - int(beat) > STALE_SECONDS * 1e9

    # --- Vectors and files ----------------------------------------------------------------

    def write_vectors(self, name: str, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Write the vectors of the passages of a generation."""
        with _explained(self.url):
            add_vectors(self._client, f"citadelle-{name}-vectors", chunks, vectors)

    def vectors(self, name: str) -> VectorStore:
        """Return the vectors of a generation; raises `IndexDamaged` where they are lost."""
        collection = self._collection(f"citadelle-{name}-vectors")
        if collection is None:
            raise IndexDamaged(
                "{server} has lost the vectors of generation {name}. {repair}",
                server=self.url,
                name=name,
                repair=REPAIR,
            )
        return VectorStore(_Guarded(self.url, collection))

    def is_whole(self, name: str, count: int) -> bool:
        """Return whether it has the vectors of `count` passages and all files of a generation."""
        vectors = self._collection(f"citadelle-{name}-vectors")
        files = self._collection(f"citadelle-{name}-files")
        if vectors is None or files is None:
            return False
        with _explained(self.url):
            pieces = (files.metadata or {}).get("pieces")
            return bool(vectors.count() == count and files.count() == pieces)

    def write_files(self, name: str, folder: Path) -> None:
        """Write the files of a generation. Raises `OSError` where they cannot be read."""
        with _explained(self.url):
            collection = self._client.create_collection(
                f"citadelle-{name}-files", embedding_function=None
            )
        pieces = _Pieces(_Guarded(self.url, collection))
        with (
            gzip.GzipFile(fileobj=pieces, mode="wb", compresslevel=1) as packed,
            tarfile.open(fileobj=packed, mode="w|") as archive,
        ):
            for path in sorted(folder.rglob("*")):
                archive.add(path, path.relative_to(folder).as_posix(), recursive=False)
        pieces.finish()

    def fetch_files(self, name: str, folder: Path) -> None:
        """Write the files of a generation into a folder.

        Raises `IndexDamaged` where they are incomplete, `OSError` where they cannot be written.
        """
        collection = self._collection(f"citadelle-{name}-files")
        if collection is None:
            raise IndexDamaged(
                "{server} has lost the files of generation {name}. {repair}",
                server=self.url,
                name=name,
                repair=REPAIR,
            )
        arriving = _Arriving(_Guarded(self.url, collection))
        try:
            with tarfile.open(fileobj=arriving, mode="r|gz") as archive:  # type: ignore[call-overload]
                # The filter is the audit that the rule asks for.
                archive.extractall(folder, filter=_as_here)  # noqa: S202
        except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
            raise IndexDamaged(
                "The files of generation {name} on {server} are incomplete. {repair}",
                name=name,
                server=self.url,
                repair=REPAIR,
            ) from error

    def _collection(self, name: str) -> Any:
        with _explained(self.url), suppress(_not_found()):
            return self._client.get_collection(name, embedding_function=None)
        return None

    def _delete(self, name: str) -> None:
        with _explained(self.url), suppress(_not_found()):
            self._client.delete_collection(name)


class Hold:
    """The right to write, for as long as this process says now and then that it is there."""

    def __init__(self, server: ChromaServer, lock: Any) -> None:
        self._server = server
        self._lock = lock
        self._about = dict(lock.metadata)
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="citadelle-hold", daemon=True)
        self._beating.start()

    def check(self) -> None:
        """Raise `IndexBusy` when this process was silent for so long that another took over."""
        if not self._server.holds(self._lock):
            raise IndexBusy(
                "Another process took over the index on {server} while this one was cut off; "
                "nothing was changed, try again.",
                server=self._server.url,
            )

    def release(self) -> None:
        """Let others write."""
        self._over.set()
        self._beating.join()
        # Where the server is away, its silence ends the hold.
        with suppress(IndexUnreachable):
            self._server.put_away(self._lock)

    def _beat(self) -> None:
        while not self._over.wait(_BEAT_SECONDS):
            with suppress(Exception):
                self._lock.modify(metadata={**self._about, "beat": self._server.clock()})


def _writer(collection: Any) -> Writer | None:
    try:
        found = {**collection.metadata}
        del found["beat"]
        writer = Writer(**found)
        str(writer)
    except (KeyError, TypeError, ValueError):
        return None
    return writer


# --- Files in pieces ----------------------------------------------------------------------


class _Pieces:
    """What is written, in a collection, a piece at a time.

    Pieces are metadata: Chroma makes documents searchable, which takes ten times as long.
    """

    def __init__(self, collection: Any) -> None:
        self.count = 0
        self._collection = collection
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        """Take bytes, and send what fills a piece."""
        self._waiting += data
        while len(self._waiting) >= _PIECE_BYTES:
            self._send(_PIECE_BYTES)
        return len(data)

    def flush(self) -> None:
        """Do nothing: what does not fill a piece waits for `finish`."""

    def finish(self) -> None:
        """Send what is left, and say how many pieces there are."""
        if self._waiting:
            self._send(len(self._waiting))
        self._collection.modify(metadata={"pieces": self.count})

    def _send(self, size: int) -> None:
        piece = base64.b64encode(self._waiting[:size]).decode("ascii")
        self._collection.add(
            ids=[f"{self.count:08}"], embeddings=[[1.0]], metadatas=[{"piece": piece}]
        )
        del self._waiting[:size]
        self.count += 1


class _Arriving:
    """What `_Pieces` wrote, as a file that is read from beginning to end."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self._here = b""
        self._next = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        if not self._here:
            found = self._collection.get(ids=[f"{self._next:08}"], include=["metadatas"])
            if found["metadatas"]:
                self._here = base64.b64decode(str(found["metadatas"][0].get("piece", "")))
            self._next += 1
        part, self._here = self._here[:size], self._here[size:]
        return part


def _as_here(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """Refuse what leads out of the folder, and leave who may read it to this machine."""
    return tarfile.data_filter(member, folder).replace(mode=None)  # type: ignore[arg-type]


# --- What goes wrong ----------------------------------------------------------------------


class _Guarded:
    """A collection whose calls raise what a person can act on."""

    def __init__(self, url: str, collection: Any) -> None:
        self._url = url
        self._collection = collection

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._collection, name)

        def call(*arguments: Any, **named: Any) -> Any:
            with _explained(self._url):
                try:
                    return method(*arguments, **named)
                except _not_found() as error:
                    raise IndexMissing(
                        "{server} has a newer index than the one that was opened; ask again.",
                        server=self._url,
                    ) from error

        return call


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Say in a sentence what hinders; Chroma raises its own errors, httpx's and bare ones."""
    try:
        yield
    except CitadelleError:
        raise
    except Exception as error:
        raise _unreachable(url, error) from error


def _unreachable(url: str, error: Exception) -> IndexUnreachable:
    from chromadb.errors import ChromaError

    status, silent = _causes(error)
    if silent is not None:
        return IndexUnreachable(
            "The server of the index at {server} does not answer ({problem}); start it, or check "
            "'chroma_url'.",
            server=url,
            problem=silent,
        )
    if status in (401, 403):
        return IndexUnreachable(
            "The server of the index at {server} refuses this machine (status {status}); check "
            "'chroma_headers'.",
            server=url,
            status=str(status),
        )
    if isinstance(error, ChromaError):
        return IndexUnreachable(
            "The server of the index at {server} refused a request ({problem}).",
            server=url,
            problem=str(error),
        )
    return IndexUnreachable(
        "The server of the index at {server} does not answer as a Chroma server does; check "
        "'chroma_url'.",
        server=url,
    )


def _causes(error: BaseException | None) -> tuple[int, str | None]:
    """Return the status of the answer behind an error, and why there was none."""
    import httpx

    while error is not None:
        if isinstance(error, httpx.HTTPStatusError):
            return error.response.status_code, None
        if isinstance(error, httpx.TransportError):
            if isinstance(error, httpx.TimeoutException):
                return 0, Message("no answer in time")
            return 0, str(error).rpartition("] ")[2]
        error = error.__cause__ or error.__context__
    return 0, None


def _not_found() -> type[Exception]:
    from chromadb.errors import NotFoundError

    return NotFoundError
