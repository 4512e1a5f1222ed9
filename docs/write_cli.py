"""Write docs/cli.md from the help of the commands: `python -m docs.write_cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import typer
from typer.main import get_command

from eval.__main__ import app as evaluation
from rag.cli import app as citadelle

FILE: Final = Path(__file__).resolve().parent / "cli.md"
# What `--help` takes in a terminal of 80 columns or more.
WIDTH: Final = 78
_HEAD: Final = """\
# The command line

Every command prints this help with `--help`. This page is written by
`python -m docs.write_cli`; change the help in `rag/cli.py` or `eval/__main__.py` instead.

Exit codes: 0 when it is done, 1 for a problem that one line on the error output explains,
2 for a command that was typed wrongly. `python -m rag` is the same as `citadelle`.
"""


def commands(name: str, app: typer.Typer) -> dict[str, Any]:
    """Return the commands of an application by the words that call them."""
    # Untyped: the classes of commands are no public part of typer.
    group: Any = get_command(app)
    return {name: group} | {f"{name} {key}": command for key, command in group.commands.items()}


def helps(name: str, app: typer.Typer) -> dict[str, str]:
    """Return the help of an application and of its commands, by the words that call them."""
    found = commands(name, app)
    root = found[name].make_context(name, [], resilient_parsing=True, terminal_width=WIDTH)
    texts = {}
    for called, command in found.items():
        # The boxes that rich draws depend on the terminal; the words are the same.
        command.rich_markup_mode = None
        context = root
        if called != name:
            last = called.rpartition(" ")[2]
            context = command.make_context(last, [], parent=root, resilient_parsing=True)
        texts[called] = command.get_help(context).strip()
    return texts


def render() -> str:
    """Return the contents of docs/cli.md."""
    parts = [_HEAD]
    for name, app in (("citadelle", citadelle), ("python -m eval", evaluation)):
        for called, text in helps(name, app).items():
            parts.append(f"## `{called}`\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
