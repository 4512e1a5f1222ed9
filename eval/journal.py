"""What a run has done so far, so that one that was stopped can be gone on with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from rag.errors import DatasetError

__all__ = ["Journal"]


class Journal:
    """Keep the record of every item in a file as soon as it is known.

    The file is named after the configuration: other questions, documents, settings or
    code start anew. A line that was cut by a crash is asked again. Raises `DatasetError`
    while another run has the file.
    """

    def __init__(self, folder: Path, configuration: Mapping[str, Any]) -> None:
        key = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:16]
        self.path = folder / f"{key}.jsonl"
        self.records: dict[str, dict[str, Any]] = {}
        self._lock = FileLock(self.path.with_suffix(".lock"), timeout=0)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            if self.path.exists():
                for line in self.path.read_bytes().split(b"\n"):
                    self._take(line)
            # Written anew, so that what is added does not stand behind half a line.
            self.path.write_bytes(b"".join(map(_line, self.records.values())))
            self._file = self.path.open("ab")
        except Timeout as error:
            raise DatasetError(
                "The same questions are being asked by another run; wait until it is done."
            ) from error
        except OSError as error:
            self._lock.release()
            raise DatasetError(
                "{file}: cannot be written ({problem}).", file=self.path, problem=error.strerror
            ) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._lock.release()

    def add(self, record: Mapping[str, Any]) -> None:
        """Keep a record, on disk when this returns."""
        self.records[record["id"]] = dict(record)
        self._file.write(_line(record))
        self._file.flush()

    def remove(self) -> None:
        """Delete the file: the run is complete."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _take(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            self.records[record["id"]] = record
        except (ValueError, KeyError, TypeError):
            return


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"
