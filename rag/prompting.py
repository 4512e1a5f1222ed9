"""The prompts in `rag/prompts`: files that a person can read, with places to fill."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

__all__ = ["filled_prompt"]

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def filled_prompt(name: str, system: Mapping[str, str], user: Mapping[str, str]) -> tuple[str, str]:
    """Return the two messages of a prompt: what to do, and with what.

    Raises `ValueError` where the file has other places than there are values.
    """
    text = (files("rag") / "prompts" / f"{name}.md").read_text(encoding="utf-8")
    first, rule, second = text.partition("\n---\n")
    messages = []
    for part, message, values in (("system", first, system), ("user", second, user)):
        if sorted(_PLACEHOLDER.findall(message)) != sorted(values) or not rule:
            raise ValueError(f"prompts/{name}.md: the {part} part has other placeholders")
        messages.append(_filled(message, values))
    return messages[0], messages[1]


def _filled(message: str, values: Mapping[str, str]) -> str:
    # In one go: braces in what documents and people write stay what they are.
    return _PLACEHOLDER.sub(lambda match: values[match[1]], message).strip()
