"""Recipes on the command line."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

__all__ = ["add_options"]


def add_options(parser: argparse.ArgumentParser, recipe: type[Any]) -> None:
    """Give a parser an option for every field of a recipe, a dataclass of numbers."""
    for field in fields(recipe):
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=type(field.default), default=field.default)
