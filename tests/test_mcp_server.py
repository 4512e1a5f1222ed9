"""The tools for assistants, over a toy encoder; tests/test_programs.py has the real thing."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from mcp import Client, MCPError
from typer.testing import CliRunner

from rag import Citadelle
from rag.cli import app
from rag.config import Settings
from rag.encoder import Encoder
from rag.errors import CitadelleError, IndexMissing
from rag.index import Index
from rag.indexing import build_index
from rag.mcp_server import Shelf, open_engine, open_server
from tests.conftest import ToyEncoder

Call = Callable[..., Any]


@pytest.fixture
def citadelle(settings: Settings, toy: ToyEncoder) -> Citadelle:
    encoder: Encoder = toy
    build_index([settings.corpus], settings, encoder)
    return Citadelle(settings, encoder, Index.open(settings, encoder))


@pytest.fixture
def call(citadelle: Citadelle) -> Call:
    """Return a function that calls a tool and gives its result."""

    def called(name: str, **arguments: Any) -> Any:
        async def talk() -> Any:
            async with Client(open_server(Shelf(lambda: citadelle))) as client:
                return await client.call_tool(name, arguments)

        return asyncio.run(talk())

    return called


def said(result: Any) -> str:
    """Return the sentence of a call that failed."""
    assert result.is_error
    text = str(result.content[0].text)
    assert "Traceback" not in text
    return text


def test_an_assistant_is_told_what_there_is(citadelle: Citadelle) -> None:
    async def talk() -> None:
        async with Client(open_server(Shelf(lambda: citadelle))) as client:
            assert (client.server_info.name, client.server_info.version) == (
                "citadelle",
                version("citadelle"),
            )
            assert "word for word" in (client.instructions or "")
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools) == {"search", "ask", "read_source"}
            for tool in tools.values():
                assert tool.description and tool.output_schema
                assert tool.annotations is not None and tool.annotations.read_only_hint
            found = (await client.list_resources()).resources
            assert [(item.name, item.uri, item.title) for item in found] == [
                ("bureau.md", "citadelle://sources/bureau.md", "Le bureau"),
                ("projet.md", "citadelle://sources/projet.md", "Le projet"),
            ]
            (content,) = (await client.read_resource(found[1].uri)).contents
            assert getattr(content, "text", "") == citadelle.text("projet.md")
            with pytest.raises(MCPError, match="There is no document 'nothing'"):
                await client.read_resource("citadelle://sources/nothing")

    asyncio.run(talk())


def test_passages_are_found_with_their_places(call: Call, citadelle: Citadelle) -> None:
    result = call("search", question="Niger", k=1).structured_content
    assert (result["query"], len(result["hits"])) == ("Niger", 1)
    (hit,) = result["hits"]
    assert (hit["rank"], hit["doc_id"], hit["title"]) == (1, "projet.md", "Le projet")
    assert citadelle.text("projet.md")[hit["start"] : hit["end"]] == hit["text"]
    limited = call("search", question="Niger", filters={"tag": "bureau"}).structured_content
    assert {hit["doc_id"] for hit in limited["hits"]} == {"bureau.md"}


def test_an_answer_quotes_word_for_word(call: Call, citadelle: Citadelle) -> None:
    question = "En quelle année a commencé le projet avec le Niger ?"
    result = call("ask", question=question).structured_content
    assert result == {
        name: value
        for name, value in (citadelle.ask(question).to_dict() | {"hints": []}).items()
        if name not in ("passages", "timings")
    }
    (quote,) = result["citations"]
    text = citadelle.text(quote["doc_id"])
    assert text[quote["start"] : quote["end"]] == quote["quote"]
    assert "2021" in quote["quote"]


def test_what_the_documents_do_not_say_is_said_with_hints(call: Call) -> None:
    result = call("ask", question="Quel est le prix du xylophone ?").structured_content
    assert result["abstained"] is True and result["citations"] == []
    assert any("xylophone" in hint for hint in result["hints"])


def test_a_follow_up_leans_on_the_history(call: Call) -> None:
    result = call("ask", question="et à Bruxelles ?", history=["Où est le bureau ?"])
    assert "bureau" in result.structured_content["understood"]


def test_a_source_is_read_from_one_place_to_another(call: Call, citadelle: Citadelle) -> None:
    text = citadelle.text("bureau.md")
    whole = call("read_source", doc_id="bur").structured_content
    assert whole == {
        "doc_id": "bureau.md",
        "title": "Le bureau",
        "start": 0,
        "end": len(text),
        "characters": len(text),
        "text": text,
    }
    part = call("read_source", doc_id="bureau.md", start=5, end=9).structured_content
    assert (part["text"], part["end"]) == (text[5:9], 9)
    past = call("read_source", doc_id="bureau.md", start=5, end=10**6).structured_content
    assert past["end"] == len(text)


def test_a_long_source_is_read_in_stretches(
    call: Call, monkeypatch: pytest.MonkeyPatch, citadelle: Citadelle
) -> None:
    monkeypatch.setattr("rag.mcp_server._LONGEST_READING", 10)
    part = call("read_source", doc_id="bureau.md", start=3).structured_content
    assert (part["start"], part["end"]) == (3, 13)
    assert part["text"] == citadelle.text("bureau.md")[3:13]


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("ask", {"question": " "}, "The question is empty"),
        ("ask", {"question": "x" * 2001}, "at most 2000"),
        ("search", {"question": "Niger", "filters": {"doc": "nothing"}}, "nothing"),
        ("search", {"question": "Niger", "k": 0}, "greater than or equal to 1"),
        ("read_source", {"doc_id": "nothing"}, "There is no document 'nothing'"),
        ("read_source", {"doc_id": "bureau.md", "start": 10**6}, "give a start below that"),
        ("read_source", {"doc_id": "bureau.md", "start": 5, "end": 5}, "an end after the start"),
        ("read_source", {"doc_id": "bureau.md", "start": -1}, "greater than or equal to 0"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    call: Call, name: str, arguments: dict[str, Any], sentence: str
) -> None:
    assert sentence in said(call(name, **arguments))


def test_documents_that_do_not_open_are_tried_again(citadelle: Citadelle) -> None:
    opened: list[Citadelle | Exception] = [IndexMissing("No index."), OSError("boom"), citadelle]

    def opener() -> Citadelle:
        result = opened.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    shelf = Shelf(opener)
    with pytest.raises(IndexMissing, match="No index"):
        shelf.engine()
    with pytest.raises(CitadelleError, match="OSError: boom"):
        shelf.engine()
    assert shelf.engine() is shelf.engine() is citadelle
    assert opened == []


def test_documents_are_opened_once_for_all_who_wait(citadelle: Citadelle) -> None:
    go, opened = threading.Event(), []

    def opener() -> Citadelle:
        assert go.wait(10)
        opened.append(1)
        return citadelle

    shelf = Shelf(opener)
    assert shelf.open() is shelf.open()
    go.set()
    assert shelf.engine() is citadelle
    assert opened == [1]


@pytest.mark.parametrize(
    ("address", "allowed", "model"),
    [
        ("http://127.0.0.1:8080/v1", False, "openai:local"),
        ("https://models.example.org/v1", False, ""),
        ("https://models.example.org/v1", True, "openai:local"),
    ],
)
def test_a_model_elsewhere_writes_for_assistants_only_where_the_owner_says_so(
    settings: Settings,
    toy: ToyEncoder,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    allowed: bool,
    model: str,
) -> None:
    monkeypatch.setattr("rag.pipeline.open_encoder", lambda *_: toy)
    monkeypatch.setenv("CITADELLE_CORPUS", str(settings.corpus))
    monkeypatch.setenv("CITADELLE_READER", "none")
    monkeypatch.setenv("CITADELLE_LLM", "openai:local")
    monkeypatch.setenv("CITADELLE_LLM_BASE_URL", address)
    monkeypatch.setenv("CITADELLE_LLM_PROGRAMS", str(allowed))
    with open_engine(settings.index) as opened:
        assert opened.model == model


def test_the_command_names_the_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rag.mcp_server", None)
    result = CliRunner().invoke(app, ["mcp"])
    assert isinstance(result.exception, CitadelleError)
    assert str(result.exception).endswith("run: pip install 'citadelle[mcp]'")
