from __future__ import annotations

import base64
import copy
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from docs.screenshot import CHROMIUM_OPTIONS, find_chromium
from eval.comparison import gate
from eval.report.page import comparison_page, run_page
from eval.runs import load_run, save_run, slim
from eval.summary import STAGES
from tests.eval.report.sample import EVERY_STAGE, item, run_of

HOSTILE = "</style></script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}"
VOID = {"meta", "input", "br", "wbr", "link", "img"}


class Parsed(HTMLParser):
    """Read a page and check that what opens also closes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), tag
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self.open), data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self) -> str:
        """Return what a person reads, on one line."""
        shown = (text for path, text in self.texts if not {"style", "script"} & set(path))
        return " ".join(" ".join(shown).split())

    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.tags if "id" in attributes]


def marks(html: str) -> Iterator[tuple[str, str]]:
    """Yield the classes and the text of every mark outside the legend."""
    body = re.sub(r'<p class="legend">.*?</p>', "", html)
    for classes, content in re.findall(r'<mark class="([^"]*)">(.*?)</mark>', body):
        yield classes.strip(), re.sub(r"<sup>.*?</sup>", "", content)


# Sound, alone, escaped


NAMES = ("run", "with baseline", "slim", "empty", "comparison", "same")


@cache
def pages() -> dict[str, str]:
    run = run_of(*EVERY_STAGE)
    before = slim(run_of(*(item(n, "right") for n in range(1, 4)), *EVERY_STAGE[3:]))
    made = (
        run_page(run),
        run_page(run, before),
        run_page(slim(run)),
        run_page(run_of()),
        comparison_page(before, run),
        comparison_page(run, run),
    )
    return dict(zip(NAMES, made, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_page_is_sound(name: str) -> None:
    page = Parsed(pages()[name])
    ids = page.ids()
    assert len(ids) == len(set(ids))
    assert page.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all("scope" in attributes for attributes in page.all("th"))
    assert not any("style" in attributes for _, attributes in page.tags)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    for attributes in page.all("label"):
        assert "for" not in attributes or attributes["for"] in ids
    for _, attributes in page.tags:
        for reference in (attributes.get("aria-labelledby") or "").split():
            assert reference in ids


@pytest.mark.parametrize("name", NAMES)
def test_page_needs_nothing_else(name: str) -> None:
    page = Parsed(pages()[name])
    addresses = [
        value or ""
        for _, attributes in page.tags
        for attribute, value in attributes.items()
        if attribute in ("href", "src", "srcset", "action", "data", "poster", "xlink:href")
    ]
    assert addresses
    ids = page.ids()
    for address in addresses:
        assert address.startswith("#")
        assert address[1:] in ids
    css = next(text for path, text in page.texts if path[-1:] == ("style",))
    assert re.findall(r"url\(([^)]*)\)|@import", css) == ["#hatch"] * css.count("url(")
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "form", "base"}


def test_page_allows_its_own_style_and_script_alone() -> None:
    page = Parsed(pages()["run"])
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a) or ""
    assert "default-src 'none'" in policy
    for tag in ("style", "script"):
        (content,) = [text for path, text in page.texts if path and path[-1] == tag]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy


def hostile(value: Any) -> Any:
    """Put markup into every string of a value, but for the words that the format fixes."""
    if isinstance(value, dict):
        fixed = ("stage", "outcome", "kind", "lang")
        return {k: v if k in fixed else hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(part) for part in value]
    return f"{value} {HOSTILE}" if isinstance(value, str) else value


def test_everything_of_a_run_is_escaped() -> None:
    items = hostile(list(EVERY_STAGE))
    for record in items:
        record["history"] = [HOSTILE]
    items[1]["lang"] = HOSTILE
    items[1]["expected"]["doc_language"] = HOSTILE
    items[2]["given"]["citations"] = [
        {"key": HOSTILE, "doc_id": HOSTILE, "start": 0, "end": 4, "quote": HOSTILE}
    ]
    run = run_of(*items)
    run["config"] = hostile(run["config"])
    run["counts"]["evidence_not_in_document"] = [HOSTILE]
    before = copy.deepcopy(run)
    for record in before["items"]:
        record["outcome"] = HOSTILE
    for html in (run_page(run), run_page(run, slim(run)), comparison_page(before, run)):
        page = Parsed(html)
        assert len(page.all("script")) == len(page.all("style")) == 1
        assert "img" not in [tag for tag, _ in page.tags]
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
        # A template in the text of a run is not run.
        assert "{{ 7*7 }}" in html
        body = html.partition("</style>")[2].rpartition("<script>")[0]
        assert "<img" not in body
        assert "<script" not in body


# Marks


def failure(**changes: Any) -> str:
    return run_page(run_of(item(1, "wrong_span", **changes)))


def test_both_spans_are_marked_where_they_are() -> None:
    # Evidence 103 to 124, cited 115 to 137, of a passage that begins at 100.
    assert list(marks(failure())) == [
        ("evidence", "siège est à "),
        ("evidence cited opening", "Bruxelles"),
        ("cited closing", ", en Belgique"),
    ]
    assert "Le <mark" in failure()
    assert "</mark>.</blockquote>" in failure()


def test_marks_are_of_the_escaped_text() -> None:
    record = item(1, "wrong_span")
    text = "<b> & siège"
    passage = {"doc_id": "note.md", "start": 0, "end": 11, "text": text, "evidence": [0]}
    record["expected"] |= {"places": [[4, 11]], "passage": passage}
    record["given"] |= {
        "passages": [passage],
        "citations": [{"key": "<1>", "doc_id": "note.md", "start": 0, "end": 5, "quote": "<b> &"}],
    }
    html = run_page(run_of(record))
    assert list(marks(html)) == [
        ("cited opening", "&lt;b&gt; "),
        ("evidence cited closing", "&amp;"),
        ("evidence", " siège"),
    ]
    assert "<sup>&lt;1&gt;</sup>&lt;b&gt; </mark>" in html


def test_passage_that_was_not_read_is_shown_as_such() -> None:
    record = item(1, "not_retrieved", ranking=[])
    record["given"] |= {"passages": [], "citations": []}
    html = run_page(run_of(record))
    assert "<b>Not read</b>" in html
    assert list(marks(html)) == [("evidence", "siège est à Bruxelles")]


def test_citation_outside_the_passages_is_shown() -> None:
    record = item(1, "not_chosen")
    record["given"]["citations"] = [
        {"key": "1", "doc_id": "page.txt", "start": 0, "end": 4, "quote": "Ailleurs."}
    ]
    text = Parsed(run_page(run_of(record))).text()
    assert "[1] page.txt cited outside the passages that were read Ailleurs." in text


# Counts


def test_every_item_is_there_once_and_counts_add_up() -> None:
    items = [item(number, stage) for number, stage in enumerate([*STAGES, "right", "error"], 1)]
    page = Parsed(run_page(run_of(*items)))
    assert sorted(i for i in page.ids() if i.startswith("question-")) == sorted(
        f"question-{number}" for number in range(1, 11)
    )
    text = page.text()
    assert "Failures 7 of 10" in text
    assert "The rest 3 of 10" in text
    assert (
        "1 evidence not read + 1 wrongly abstained + 1 wrong passage quoted + 1 wrong words quoted"
        " + 1 should have abstained + 2 error + 2 answered right + 1 rightly abstained = 10 "
        "questions"
    ) in text
    # Eight have an answer: less two errors, then one at every step, leaves the two right ones.
    for step in (
        "Questions 8",
        "Asked 6 75% − 2 error",
        "Evidence read 5 62% − 1 evidence not read",
        "Answered 4 50% − 1 wrongly abstained",
        "Right passage quoted 3 38% − 1 wrong passage quoted",
        "Right words quoted 2 25% − 1 wrong words quoted",
        "Rightly abstained 1 50%",
        "Should have abstained 1 50% see it",
    ):
        assert step in text


def test_failures_can_be_chosen_by_stage_and_language() -> None:
    dutch = item(9, "wrong_span", lang="nl")
    german = item(10, "error", lang="de")
    page = Parsed(run_page(run_of(*EVERY_STAGE, dutch, german)))
    chosen = [(a["name"], a["id"]) for a in page.all("input") if a.get("type") == "radio"]
    assert [identifier for name, identifier in chosen if name == "stage"] == [
        "stage-all",
        "stage-not_retrieved",
        "stage-wrongly_abstained",
        "stage-not_chosen",
        "stage-wrong_span",
        "stage-wrongly_answered",
        "stage-error",
    ]
    assert [identifier for name, identifier in chosen if name == "language"] == [
        "language-all",
        "language-fr",
        "language-nl",
        "language-other",
    ]
    languages = [a["data-language"] for a in page.all("details") if "data-language" in a]
    assert (languages.count("fr"), languages.count("nl"), languages.count("other")) == (6, 1, 1)


def test_matrix_says_what_was_not_measured() -> None:
    page = Parsed(run_page(run_of(*EVERY_STAGE, item(9, "right", lang="nl"))))
    text = page.text()
    # Of six French questions with an answer one is right: 17%; the Dutch one is right.
    assert "Asked in French 17% R@1 17% 6 questions not measured not measured" in text
    assert "Asked in English not measured not measured not measured" in text
    assert "Asked in Dutch 100% R@1 100% 1 question not measured not measured" in text


# Words


def test_change_since_the_baseline_is_said() -> None:
    before = run_of(item(1, "wrong_span"), item(2, "right"), item(3, "wrong_span"))
    after = run_of(item(1, "right"), item(2, "error"), item(3, "right"))
    text = Parsed(run_page(after, slim(before))).text()
    # Two of three instead of one: 33.3 points; the test is on two wins and one loss.
    assert "▲ +33.3 points, better p = 1.000, McNemar" in text
    assert text.count("better than in the baseline") == 2
    assert text.count("worse than in the baseline") == 1


def test_arrow_follows_the_number_and_the_word_its_worth() -> None:
    before, after = run_of(*EVERY_STAGE), run_of(*EVERY_STAGE)
    before["measures"]["overall"] |= {"AURC": 0.30, "latency_p50_ms": 40.0}
    after["measures"]["overall"] |= {"AURC": 0.25, "latency_p50_ms": 52.0}
    text = Parsed(run_page(after, before)).text()
    assert "▼ −0.050, better" in text
    assert "▲ +12 ms, worse" in text


def test_questions_that_only_one_asked_are_counted() -> None:
    html = run_page(run_of(*EVERY_STAGE), run_of(*EVERY_STAGE[1:]))
    assert "left out: 0 only in the baseline, 1 only here" in html


def test_what_was_not_measured_is_said() -> None:
    nothing = {**item(1, "rightly_abstained"), "given": None, "confidence": None}
    run = run_of(nothing)
    for table in (run["measures"], run["intervals"]):
        table["overall"] = dict.fromkeys(table["overall"])
    text = Parsed(run_page(run)).text()
    assert "Right answers not measured" in text
    assert "Not measured: the run file has no timings." in text
    assert "Nothing was answered, so there is no point at which the system stands." in text
    del run["intervals"], run["matrix"]
    assert "Right answers not measured" in Parsed(run_page(run)).text()


def test_operating_point_is_said_in_words() -> None:
    # Five of eight answered: right once, wrong four times.
    text = Parsed(run_page(run_of(*EVERY_STAGE))).text()
    assert "The system answers 62% of the questions; 80% of those answers are wrong." in text


def test_calibration_is_drawn_and_said() -> None:
    # Two abstentions, 0.3 and wrong; five answers, 0.9 and right once. In bins that is
    # (2 * 0.3 + 5 * (0.9 - 0.2)) / 7 = 0.586.
    page = Parsed(run_page(run_of(*EVERY_STAGE[:7])))
    assert "On average, the confidence is 0.586 away from the share that is right." in page.text()
    assert len([a for a in page.all("circle") if a.get("class") == "dot"]) == 2
    said = "confidence 0.9 to 1.0, on average 0.90: 20% right of 5 questions"
    titles = [text for path, text in page.texts if path[-1:] == ("title",) and said in text]
    # Of the dot, and, with all others, of the diagram.
    assert len(titles) == 2
    assert "Whether to take it" not in Parsed(run_page(run_of())).text()


def without_calibration(run: dict[str, Any]) -> dict[str, Any]:
    """Return a run as it was before there was the measure."""
    older = copy.deepcopy(run)
    for table in (older["measures"], older["intervals"]):
        table["overall"].pop("ECE", None)
    older["counts"]["overall"]["measured"].pop("ECE", None)
    return older


def test_a_run_of_before_there_was_calibration_opens_and_compares(tmp_path: Path) -> None:
    now = run_of(*EVERY_STAGE)
    save_run(slim(without_calibration(now)), tmp_path / "older.json")
    older = load_run(tmp_path / "older.json")
    text = Parsed(run_page(older)).text()
    assert "Error of confidence not measured" in text
    assert "The run file does not say how far the confidence is from the share that" in text
    # The diagram is of the items, which have a confidence all the same.
    assert "on average 0.90: 20% right of 5 questions" in text
    # What changed since is not known.
    assert "8 questions, lower is better not compared ECE" in Parsed(run_page(now, older)).text()
    assert "No question changed." in Parsed(comparison_page(older, now)).text()
    assert gate(now, older) == []


def test_the_committed_baseline_opens_without_calibration() -> None:
    baseline = load_run(Path(__file__).parents[3] / "eval" / "baselines" / "gold.json")
    older = without_calibration(baseline)
    assert "Error of confidence not measured" in Parsed(run_page(older)).text()
    now = copy.deepcopy(older)
    now["measures"]["overall"]["ECE"] = 0.25
    assert "No question changed." in Parsed(comparison_page(older, now)).text()
    assert gate(now, older) == []


def test_slim_items_say_what_is_missing() -> None:
    text = Parsed(run_page(slim(run_of(*EVERY_STAGE)))).text()
    assert "The run file has no text of the answer." in text
    assert "The run file has no expected answer." in text


def test_configuration_and_command_are_there() -> None:
    run = run_of(*EVERY_STAGE)
    text = Parsed(run_page(run)).text()
    assert "dataset.sha256 fff" in text
    assert "manifest.corpus_hash abc" in text
    assert "settings.abstain_below 0.7" in text
    assert (
        "To make this page again: CITADELLE_ABSTAIN_BELOW=0.7 python -m eval run dev.jsonl "
        "--corpus corpus --json run.json --html run.html"
    ) in text
    run["config"]["dataset"] = {
        "kind": "squad",
        "name": "a b.json",
        "questions": {"name": "q.jsonl"},
        "limit": 60,
    }
    assert (
        "python -m eval squad 'a b.json' --questions q.jsonl --limit 60 --json"
        in Parsed(run_page(run)).text()
    )


# Comparison


def test_comparison_shows_both_answers_worse_first() -> None:
    before = run_of(item(1, "wrong_span"), item(2, "right"), item(3, "right"))
    after = run_of(item(1, "right"), item(2, "wrongly_abstained"), item(3, "right"))
    page = Parsed(comparison_page(before, after))
    text = page.text()
    assert "Of 3 questions that both runs asked, 1 went better in the later one and 1 worse; 1" in (
        text
    )
    directions = [a["data-direction"] for a in page.all("details") if "data-direction" in a]
    assert directions == ["worse", "better"]
    assert (
        "A Answered right « Bruxelles » [1] answered, confidence 0.90, short answer Bruxelles "
        "B Wrongly abstained Rien. abstained, confidence 0.30"
    ) in text
    assert "stage right wrongly abstained" in text
    # One question better, one worse, in a measure of yes or no.
    assert "served answered right, or abstained rightly 0.667 0.667 = no change 1 1 1 p = " in text
    assert "McNemar, 3 questions" in text
    assert "The two were made with the same code, settings, documents and questions." in text


def test_comparison_with_a_baseline_has_the_later_answer_alone() -> None:
    before, after = slim(run_of(item(1, "wrong_span"))), run_of(item(1, "right"))
    text = Parsed(comparison_page(before, after)).text()
    assert "A Wrong words quoted The run file has no text of the answer." in text
    assert "B Answered right « Bruxelles » [1]" in text
    assert "Expected Bruxelles" in text


def test_comparison_names_what_differs() -> None:
    before, after = run_of(item(1, "right")), run_of(item(2, "right"))
    after["config"]["settings"] = {"abstain_below": 0.2}
    text = Parsed(comparison_page(before, after)).text()
    assert "The two runs have no question in common." in text
    assert "Left out: 1 question only in A, 1 only in B." in text
    assert "settings.abstain_below 0.7 0.2" in text
    assert "settings.port 1 –" in text
    assert "No question changed." in text


# In a browser


@pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium here")
@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_failures_are_chosen_in_a_browser(tmp_path: Path, script: bool) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    file = tmp_path / "run.html"
    file.write_text(
        run_page(run_of(*EVERY_STAGE, item(9, "wrong_span", lang="nl", question="Où là-bas ?"))),
        encoding="utf-8",
    )
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_OPTIONS)
        page = browser.new_context(java_script_enabled=script).new_page()
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: told.append(request.url))
        page.goto(file.as_uri())
        shown = page.locator(".item:visible")
        assert shown.count() == 7
        page.locator("#language-nl").check()
        assert shown.count() == 1
        page.locator("#stage-wrong_span").check()
        assert page.locator(".group:visible").count() == 1
        page.locator("#language-all").check()
        assert shown.count() == 2
        assert page.locator(".search").is_visible() == script
        if script:
            assert page.locator("output").inner_text() == "2 of 7 failures shown"
            page.locator(".search input").fill("ou la-bas")
            assert shown.count() == 1
            page.get_by_role("button", name="Open all").click()
            assert page.locator(".item[open]").count() == 1
            page.get_by_role("button", name="Close all").click()
        # What is folded on the screen is printed.
        said = page.locator(".item:not([open]) .said:visible")
        assert said.count() == 0
        page.emulate_media(media="print")
        assert said.count() > 0
        assert told == [file.as_uri()]
        browser.close()
