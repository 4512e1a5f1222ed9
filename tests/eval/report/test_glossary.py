from __future__ import annotations

from pathlib import Path

from eval.comparison import COMPARED
from eval.report import glossary
from eval.summary import STAGES, WRITTEN
from tests.eval.report.sample import EVERY_STAGE, run_of


def test_stages_are_those_of_a_run() -> None:
    assert {stage.name for stage in glossary.STAGES} == set(STAGES)
    css = (Path(glossary.__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")
    for stage in glossary.STAGES:
        chosen = f'#stage-{stage.name}:checked) .group:not([data-stage="{stage.name}"])'
        assert (chosen in css) == (stage.name not in glossary.SERVED)
    for language in (*glossary.LANGUAGE_NAMES, "other"):
        assert f'#language-{language}:checked) :is(.item:not([data-language="{language}"])' in css
    for direction in glossary.DIRECTIONS.values():
        assert f'#direction-{direction}:checked) .item:not([data-direction="{direction}"])' in css


def test_measures_are_those_of_a_run() -> None:
    known = {measure.name for group in glossary.MEASURES.values() for measure in group}
    run = run_of(*EVERY_STAGE)
    # Those of a language model are there when one was asked.
    assert known == {*run["measures"]["overall"], *WRITTEN}
    assert {*glossary.HEADLINES, *glossary.PLACES} <= known
    assert all(glossary.measure(name).words for name in COMPARED)


def test_what_is_unknown_keeps_its_name() -> None:
    assert glossary.measure("new").name == "new"
    assert glossary.language_name("de") == "de"
    assert glossary.language_name("") == "unknown"
    assert (glossary.language_group("nl"), glossary.language_group("de")) == ("nl", "other")
