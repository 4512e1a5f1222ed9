"""What the Markdown files say is so: commands, options, links, settings, examples."""

from __future__ import annotations

import ast
import json
import re
import shlex
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from docs import write_cli, write_figures
from eval.__main__ import app as evaluation
from eval.dataset import gold_item
from rag import Citadelle
from rag.cli import app as citadelle
from rag.config import Settings, load_settings
from rag.documents import SUFFIXES, read
from rag.types import Answer

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/answers.md",
    "docs/api.md",
    "docs/cli.md",
    "docs/deploy.md",
    "docs/evaluation.md",
    "docs/models.md",
    "docs/scaling.md",
)
COMMANDS: dict[str, Any] = {
    **write_cli.commands("citadelle", citadelle),
    **write_cli.commands("python -m eval", evaluation),
}

_FENCE = re.compile(r"^ *```(?P<kind>\w*)\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?P<file>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
_FOLDERS = "rag|ui|eval|docs|tests|corpus|benchmarks"
_PATH = re.compile(rf"`((?:{_FOLDERS})/[\w./-]*|\w[\w.-]*\.(?:md|toml|txt|py))`")
_SETTING = re.compile(r"^#(\w+ = .+)$", re.MULTILINE)


def _page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _blocks(page: str, kind: str) -> list[str]:
    return [match["body"] for match in _FENCE.finditer(page) if match["kind"] == kind]


def _prose(page: str) -> str:
    return _FENCE.sub("", page)


def _shell_lines(page: str) -> Iterator[str]:
    for block in _blocks(page, "sh"):
        yield from (line.partition(" #")[0].strip() for line in block.splitlines())


def _called(line: str) -> tuple[str, list[str]] | None:
    """Return the command of Citadelle that a line calls, and what follows it.

    A word that is no command stays with the program, which then refuses it.
    """
    for program in ("citadelle", "python -m eval"):
        if line == program or line.startswith(f"{program} "):
            words = shlex.split(line[len(program) :])
            if words and f"{program} {words[0]}" in COMMANDS:
                return f"{program} {words[0]}", words[1:]
            return program, words
    return None


def _options(called: str) -> set[str]:
    names = {name for parameter in COMMANDS[called].params for name in parameter.opts}
    return names | {"--help"}


# --- Commands -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_commands_in_blocks_can_be_typed(name: str) -> None:
    for line in _shell_lines(_page(name)):
        call = _called(line)
        if call is not None:
            called, words = call
            assert called not in ("citadelle", "python -m eval"), line
            # Parses without running: unknown options and missing arguments raise.
            COMMANDS[called].make_context(called.rpartition(" ")[2], words)


@pytest.mark.parametrize("name", PAGES)
def test_commands_in_prose_exist(name: str) -> None:
    for code in re.findall(r"`([^`\n]+)`", _prose(_page(name))):
        call = _called(code)
        if call is not None:
            called, words = call
            assert called not in ("citadelle", "python -m eval") or not words, code
            given = {word.partition("=")[0] for word in words if word.startswith("-")}
            assert given <= _options(called), code


def test_the_readme_shows_every_command() -> None:
    calls = [_called(line) for line in _shell_lines(_page("README.md"))]
    shown = {call[0] for call in calls if call is not None}
    assert shown == set(COMMANDS) - {"citadelle", "python -m eval"}


@pytest.mark.parametrize("name", PAGES)
def test_make_targets_exist(name: str) -> None:
    page = _page(name)
    targets = set(re.findall(r"^([a-z]+):.*##", _page("Makefile"), re.MULTILINE))
    lines = [*_shell_lines(page), *re.findall(r"`([^`\n]+)`", _prose(page))]
    named = {found[1] for line in lines if (found := re.search(r"\bmake ([a-z]+)$", line))}
    assert named <= targets


def test_the_page_on_commands_is_their_help() -> None:
    assert _page("docs/cli.md") == write_cli.render(), (
        "docs/cli.md is out of date; run: python -m docs.write_cli"
    )


@pytest.mark.parametrize("called", write_cli.commands("citadelle", citadelle))
def test_the_help_is_what_the_commands_print(called: str) -> None:
    arguments = [*called.split()[1:], "--help"]
    # Typer's runner takes another width than a terminal unless it is told one.
    result = CliRunner().invoke(
        citadelle, arguments, prog_name="citadelle", terminal_width=write_cli.WIDTH
    )
    assert result.exit_code == 0
    assert result.stdout.strip() == write_cli.helps("citadelle", citadelle)[called]


# --- Links and files ----------------------------------------------------------------------


def _anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    page = _page(name)
    for link in _LINK.finditer(_prose(page)):
        if link["file"].startswith(("http:", "https:")):
            continue
        target = (ROOT / name).parent / link["file"] if link["file"] else ROOT / name
        assert target.exists(), link.group()
        if link["anchor"]:
            assert link["anchor"] in _anchors(target.read_text(encoding="utf-8")), link.group()


@pytest.mark.parametrize("name", PAGES)
def test_files_that_are_named_exist(name: str) -> None:
    made = {"citadelle.toml"}
    for path in set(_PATH.findall(_prose(_page(name)))) - made:
        assert (ROOT / path).exists() or (ROOT / "corpus" / path).exists(), path


def test_the_tree_is_there() -> None:
    (tree,) = (block for block in _blocks(_page("README.md"), "text") if block.startswith("app.py"))
    for line in tree.splitlines():
        assert (ROOT / line.split()[0]).exists(), line


def test_every_module_has_its_row() -> None:
    page = _page("CONTRIBUTING.md")
    rows = re.findall(r"^\| `(rag/[\w./]+)` \|", page, re.MULTILINE)
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rag").glob("*.py")}
    assert set(rows) == modules - {"rag/__init__.py", "rag/__main__.py"} | {"rag/documents/"}


def test_every_format_is_listed() -> None:
    rows = [line for line in _page("README.md").splitlines() if line.startswith("| ")]
    assert set(re.findall(r"`(\.\w+)`", "\n".join(rows))) == set(SUFFIXES)


# --- Settings -----------------------------------------------------------------------------


def test_the_example_loads_and_gives_every_default() -> None:
    example = _page("citadelle.example.toml")
    assert tomllib.loads(example) == {}
    values = tomllib.loads("\n".join(_SETTING.findall(example)))
    assert list(values) == list(Settings.model_fields)
    settings, defaults = load_settings(**values), Settings()
    # The default of the cache is a folder of the user's.
    differing = [name for name in values if getattr(settings, name) != getattr(defaults, name)]
    assert differing == ["cache"]


def test_the_example_is_read_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = _SETTING.sub(r"\1", _page("citadelle.example.toml"))
    Path("citadelle.toml").write_text(text, encoding="utf-8")
    assert load_settings().cache == Path(".citadelle/cache")


def test_the_example_describes_every_setting() -> None:
    example = _page("citadelle.example.toml")
    for name, setting in Settings.model_fields.items():
        above = example.partition(f"\n#{name} = ")[0].rpartition("\n\n")[2]
        words = " ".join(line.removeprefix("# ") for line in above.splitlines())
        assert words.startswith(str(setting.description)), name


def test_settings_and_variables_of_the_readme_exist() -> None:
    page = _page("README.md")
    table = page.partition("| setting | default |")[2].partition("\n\n")[0]
    for name, default in re.findall(r"^\| `(\w+)` \| `?([\w.]+)`? \|", table, re.MULTILINE):
        value = getattr(Settings(), name)
        # As it is written in the file of settings.
        assert (str(value).lower() if isinstance(value, bool) else str(value)) == default, name
    variables = re.findall(r"CITADELLE_(\w+)", page)
    assert {name.lower() for name in variables} <= set(Settings.model_fields)


# --- Examples -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_python_compiles(name: str) -> None:
    for block in _blocks(_page(name), "python"):
        compile(textwrap.dedent(block), name, "exec")


def test_methods_of_the_readme_exist() -> None:
    (block,) = _blocks(_page("README.md"), "python")
    used = {
        node.attr
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("Citadelle", "citadelle")
    }
    assert used == {"open", "ask", "text", "search", "retriever"}
    assert all(hasattr(Citadelle, name) for name in used)


def test_the_json_of_the_readme_is_an_answer() -> None:
    (block,) = _blocks(_page("README.md"), "json")
    shown = json.loads(block)
    fields = {name: shown[name] for name in ("question", "language", "text", "short_answer")}
    answer = Answer(
        **fields, citations=(), passages=(), abstained=False, confidence=0.5, mode="extractive"
    )
    assert list(shown) == list(answer.to_dict())
    assert shown["short_answer"] in shown["text"]
    for citation in shown["citations"]:
        document = read(ROOT / "corpus" / citation["doc_id"], citation["doc_id"])
        assert document.text[citation["start"] : citation["end"]] == citation["quote"]
        assert document.title == citation["title"]


def test_the_question_of_the_readme_is_one() -> None:
    (block,) = _blocks(_page("README.md"), "jsonl")
    record = json.loads(block)
    item = gold_item("README.md", record)
    (document,) = (read(path, path.name) for path in (ROOT / "corpus").glob(f"{item.doc}*"))
    assert all(text in document.plain for text in (*item.answers, *item.evidence))


def test_the_quotes_of_the_readme_stand_where_it_says() -> None:
    page = _page("README.md")
    answers = [block for block in _blocks(page, "text") if "\n[1] " in block]
    assert len(answers) == 2
    for block in answers:
        answer = " ".join(block.split())
        answer = re.sub(r"^Understood as: [^?]+\? ", "", answer)
        quote = re.search(r"[“«] (.+) »|“(.+)”(?= \[1\])", answer.partition(":")[2])
        place = re.search(r"\((\S+), (\d+)-(\d+)\)$", answer)
        assert quote and place, block
        document = read(ROOT / "corpus" / place[1], place[1])
        start, end = document.offsets.to_plain(int(place[2]), int(place[3]))
        shown = " ".join(document.plain[start:end].split())
        assert shown == (quote[1] or quote[2])


def test_the_figures_of_the_readme_are_those_of_the_baseline() -> None:
    assert set(write_figures.rows()) <= set(_page("README.md").splitlines()), (
        "README.md is out of date; run: python -m docs.write_figures"
    )


def test_there_is_one_place_for_the_figures() -> None:
    page = _page("README.md")
    assert page.count("<!-- measured -->") == page.count("<!-- /measured -->") == 1
    assert page.index("<!-- measured -->") < page.index("<!-- /measured -->")
