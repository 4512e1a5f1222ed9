"""Whether the passages may go to a language model elsewhere: asked once, and remembered."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from rag.chat_model import host_of
from rag.config import Settings
from rag.errors import CitadelleError

__all__ = ["CONSENT_FILE", "consented", "keep_consent"]

logger = logging.getLogger(__name__)

CONSENT_FILE: Final = "consent.json"
# How long one writer waits for another, in seconds; a write takes milliseconds.
_PATIENCE: Final = 5.0


def consented(settings: Settings, folder: Path) -> bool:
    """Tell whether a person agreed that this model, on this host, gets what is asked."""
    return _name(settings) in _kept(folder / CONSENT_FILE)


def keep_consent(settings: Settings, folder: Path) -> None:
    """Remember below `folder` that a person agreed.

    Raises `CitadelleError` when the file cannot be written.
    """
    file = folder / CONSENT_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock"), timeout=_PATIENCE):
            kept = {**_kept(file), _name(settings): datetime.now(UTC).isoformat(timespec="seconds")}
            # In one step: a file that is half written would forget every other consent.
            handle, written = tempfile.mkstemp(dir=folder, prefix=f"{CONSENT_FILE}.")
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(kept, stream, ensure_ascii=False, indent=2)
            Path(written).replace(file)
    except (OSError, Timeout) as error:
        raise CitadelleError(
            "{file} cannot be written ({problem}); change its permissions, or name another folder "
            "with the setting 'data'.",
            file=file,
            problem=str(error),
        ) from error


def _name(settings: Settings) -> str:
    # What was agreed to before earlier questions were sent too does not cover them.
    return f"{settings.llm} {host_of(settings)} conversation"


def _kept(file: Path) -> Mapping[str, str]:
    """Return what was agreed to, and when; nothing where that cannot be read."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        # Asked again: that is better than to send without having been allowed to.
        logger.warning("%s cannot be read: %s", file, error)
        return {}
    return kept if isinstance(kept, dict) else {}
