"""The public question sets that the measurements use, where they are at hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

__all__ = ["arguments"]


def arguments(description: str, questions: int) -> argparse.Namespace:
    """Return the folder of the data sets and how many questions to take of each.

    Ends the program, with a sentence and exit code 0, where the data sets are not there:
    they are not part of the project, and `make bench` runs in any clone.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets"))
    parser.add_argument("--questions", type=int, default=questions)
    given = parser.parse_args()
    if not (given.data / "piaf-train.json").is_file():
        reason = f"there is no piaf-train.json in {given.data} (see --data)"
        sys.stdout.write(f"{description} Not run: {reason}.\n")
        sys.exit(0)
    return given
