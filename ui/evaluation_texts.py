"""Every string of the evaluation's view by its name; what they say stands in `ui/locale`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ui.catalogues import InterfaceLanguage, strings
from ui.texts import LANGUAGE_NAMES

__all__ = ["EVALUATION_TEXTS", "EvaluationTexts"]


@dataclass(frozen=True, slots=True)
class EvaluationTexts:
    """Hold the strings of one language; words in braces are filled in by the page.

    `measures` gives for each measure its name and, in a sentence, what it is.
    """

    title: str
    purpose: str
    questions: str
    other_file: str
    upload: str
    asked: str
    start: str
    stop: str
    stopping: str
    progress: str
    meanwhile: str
    stopped: str
    changed: str
    failed: str
    finished: str
    results: str
    shown: str
    compared: str
    with_nothing: str
    baseline: str
    none_yet: str
    outcome: str
    other_questions: str
    other_documents: str
    points: str
    better: str
    worse: str
    same: str
    percent: str
    details: str
    run_page: str
    comparison_page: str
    page_failed: str
    download_page: str
    download_run: str
    measures: Mapping[str, tuple[str, str]]


def _record(language: InterfaceLanguage) -> EvaluationTexts:
    found = strings("evaluation", language)
    measures: dict[str, tuple[str, str]] = {}
    for name in [name for name in found if name.startswith("measures.")]:
        _, measure, part = name.split(".")
        text = found.pop(name)
        if part == "name":
            measures[measure] = (text, found[f"measures.{measure}.meaning"])
    return EvaluationTexts(**found, measures=measures)


EVALUATION_TEXTS: Final[dict[InterfaceLanguage, EvaluationTexts]] = {
    language: _record(language) for language in LANGUAGE_NAMES
}
