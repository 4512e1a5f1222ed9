"""Other programs, with their makers' own clients, over the real engine and the real documents."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client

from docs.screenshot import QUESTION, serving
from rag.documents import read
from tests.conftest import CORPUS, ROOT

KEY = "a-key-of-the-tests"
QUOTED = "ccb-relations-internationales.txt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    shutil.copytree(CORPUS, folder / "corpus")
    (folder / "citadelle.toml").write_text(
        f'api = true\napi_key = "{KEY}"\nreader = "none"\nlogin = true\n'
    )
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serving(folder / "corpus", folder / "index", path="/docs", folder=folder) as address:
        yield f"{address}/v1"


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=address, api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


def asked(question: str) -> Any:
    return [{"role": "user", "content": question}]


def test_the_client_of_openai_asks(client: openai.OpenAI, address: str) -> None:
    assert [model.id for model in client.models.list()] == ["citadelle"]
    reply = client.chat.completions.create(model="citadelle", messages=asked(QUESTION))
    content = reply.choices[0].message.content or ""
    answer = (reply.model_extra or {})["citadelle"]
    assert content.startswith(answer["text"])
    source = read(CORPUS / QUOTED, QUOTED)
    for citation in answer["citations"]:
        quote = source.text[citation["start"] : citation["end"]]
        assert quote == citation["quote"]
        place = f"doc={QUOTED}&at={citation['start']}-{citation['end']}"
        place += f"&hash={hashlib.sha256(quote.encode()).hexdigest()[:12]}"
        footnote = content.partition(f"\n\n[{citation['key']}] ")[2].partition("\n")[0]
        # Shown on one line, with the spaces of a reader.
        assert " ".join(quote.split()) in " ".join(footnote.split())
        assert footnote.endswith(f"{address.removesuffix('/v1')}/?{place}")
    assert "(NCCA-BE)" in answer["citations"][0]["quote"]


def test_the_client_of_openai_streams(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="citadelle", messages=asked(QUESTION))
    said, finished, usage = "", [], None
    stream = client.chat.completions.create(
        model="citadelle",
        messages=asked(QUESTION),
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            said += choice.delta.content or ""
            finished += [choice.finish_reason] if choice.finish_reason else []
    assert said == whole.choices[0].message.content
    assert finished == ["stop"]
    assert usage == whole.usage


def test_the_client_of_openai_is_told_what_is_wrong(client: openai.OpenAI, address: str) -> None:
    wrong = openai.OpenAI(base_url=address, api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="key is missing or wrong"):
        wrong.models.list()
    with pytest.raises(openai.BadRequestError, match="question is empty"):
        client.chat.completions.create(model="citadelle", messages=asked("?"), stream=True)
    with pytest.raises(openai.BadRequestError, match="leave out 'n'"):
        client.chat.completions.create(model="citadelle", messages=asked(QUESTION), n=2)
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-4o'"):
        client.chat.completions.create(model="gpt-4o", messages=asked(QUESTION))
    with pytest.raises(openai.UnprocessableEntityError, match="'messages'"):
        client.chat.completions.create(model="citadelle", messages=[])


def test_an_assistant_uses_the_tools(folder: Path, address: str) -> None:
    # `address` makes the index. Whatever else is printed there must not reach the assistant.
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "rag", "mcp", "--index", str(folder / "index")],
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
        cwd=folder,
    )

    async def talk() -> None:
        unexpected: list[object] = []

        async def hear(message: object) -> None:
            unexpected.append(message)

        async with (
            stdio_client(server) as (reads, writes),
            ClientSession(reads, writes, message_handler=hear) as session,
        ):
            told = await session.initialize()
            assert told.server_info.name == "citadelle"
            tools = (await session.list_tools()).tools
            assert {tool.name for tool in tools} == {"search", "ask", "read_source"}
            answer = (await session.call_tool("ask", {"question": QUESTION})).structured_content
            assert answer is not None and not answer["abstained"]
            citation = answer["citations"][0]
            place = {name: citation[name] for name in ("doc_id", "start", "end")}
            stretch = (await session.call_tool("read_source", place)).structured_content
            assert stretch is not None and stretch["text"] == citation["quote"]
            asked = {"question": "loi NIS", "k": 2, "filters": {"doc": "ccb"}}
            found = (await session.call_tool("search", asked)).structured_content
            assert found is not None
            assert [hit["doc_id"] for hit in found["hits"]] == [QUOTED, QUOTED]
            failed = await session.call_tool("ask", {"question": "?"})
            assert failed.is_error
            resources = (await session.list_resources()).resources
            assert {resource.name for resource in resources} == {
                path.name for path in CORPUS.iterdir() if not path.name.startswith(".")
            }
        assert unexpected == []

    asyncio.run(talk())
