"""Run files: write, read, and slim to a baseline."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, cast

from rag.errors import DatasetError

__all__ = ["FORMAT", "load_run", "presentable", "presentable_item", "save_run", "slim"]

FORMAT = 2
DIGITS = 6
_PATH = re.compile(r"(?<![\w/])(?:[A-Za-z]:[\\/]|/)(?:[^\s'\":/\\]+[\\/])+([^\s'\":/\\]+)")
_NEEDED = {"id", "lang", "type", "question", "answerable", "outcome", "stage", "correct", "scores"}
# What a baseline keeps of an item: enough to compare and to gate, nothing that is read.
_KEPT = (
    "id",
    "lang",
    "type",
    "question",
    "history",
    "answerable",
    "outcome",
    "stage",
    "confidence",
    "correct",
    "withheld_correct",
    "scores",
)


def save_run(run: Mapping[str, Any], path: Path) -> None:
    """Write a run as JSON, one item a line; raises `DatasetError` when it cannot be written.

    Lines of their own make the difference between two versions of a baseline readable.
    """
    fields = {name: value for name, value in run.items() if name != "items"}
    head = json.dumps(fields, ensure_ascii=False, indent=1, allow_nan=False)
    items = ",\n".join(
        json.dumps(item, ensure_ascii=False, allow_nan=False) for item in run["items"]
    )
    text = f'{head[:-2]},\n "items": [\n{items}\n]\n}}\n'
    draft = path.with_name(f".{path.name}.writing")
    try:
        # Whole or not at all: a baseline cut in the middle would be no run file.
        draft.write_bytes(text.encode())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise DatasetError(
            "{file}: cannot be written ({problem}).", file=path, problem=error.strerror
        ) from error


def load_run(path: Path) -> dict[str, Any]:
    """Read a run or a baseline; raises `DatasetError` when the file is not one."""
    try:
        run = json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(
            "{file}: cannot be read ({problem}).", file=path, problem=error.strerror
        ) from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            "{file}: not a run file ({problem}).", file=path, problem=str(error)
        ) from error
    if isinstance(run, dict) and run.get("format", 1) != FORMAT and "measures" in run:
        raise DatasetError(
            "{file}: a run file of another version of the evaluation; make it anew with "
            "'python -m eval run'.",
            file=path,
        )
    parts = {"config": dict, "counts": dict, "measures": dict, "items": list}
    for name, kind in parts.items():
        if not isinstance(run, dict) or not isinstance(run.get(name), kind):
            raise DatasetError(
                "{file}: not a run file ('{name}' is missing).", file=path, name=name
            )
    if not isinstance(run["measures"].get("overall"), dict):
        raise DatasetError("{file}: not a run file (it has no overall measures).", file=path)
    if not all(isinstance(item, dict) and item.keys() >= _NEEDED for item in run["items"]):
        raise DatasetError("{file}: not a run file (an item lacks its scores).", file=path)
    return cast("dict[str, Any]", run)


def slim(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run without what was said, cited and ranked: what a baseline keeps."""
    items = [{name: item.get(name) for name in _KEPT} for item in run["items"]]
    return {**run, "items": items}


def presentable(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run fit for JSON and for other people.

    Floats are rounded to 6 digits, numbers of numpy become Python's, NaN becomes null,
    and absolute paths in `config` shrink to their last part.
    """
    fit = {name: _fit(value) for name, value in run.items()}
    return {**fit, "config": _without_paths(fit["config"])}


def presentable_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item fit for JSON and for other people, without paths in its error."""
    fit: dict[str, Any] = _fit(item)
    return {**fit, "error": _PATH.sub(r"\1", fit["error"]) if fit["error"] else None}


def _fit(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _fit(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_fit(part) for part in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    number = float(cast("float", value))
    return round(number, DIGITS) if math.isfinite(number) else None


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {_without_paths(name): _without_paths(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_paths(part) for part in value]
    if isinstance(value, str):
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(value).is_absolute():
                return kind(value).name
    return value
