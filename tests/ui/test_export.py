"""Answers and conversations as text to take elsewhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from html import escape
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from rag.history import KeptConversation, KeptExchange
from rag.types import Answer, Citation, Document
from rag.writing import NOTICES
from tests.ui.conftest import HOSTILE, NOTE, document, quoting
from ui.export import (
    Origin,
    answer_markdown,
    answer_memo,
    answer_text,
    conversation_html,
    conversation_json,
    conversation_markdown,
    file_name,
)
from ui.texts import TEXTS

FR = TEXTS["fr"]
DAY = date(2026, 11, 1)
BASE = "http://127.0.0.1:8501/"
# Plain text of the note; in its source 1872 stands in bold.
QUOTE = "Le fort date de **1872**. Il garde la Meuse."
ORIGIN = Origin(BASE, DAY, {NOTE: document()})
ADDRESS = "http://127.0.0.1:8501/?doc=note.md&at=11-55&hash=63ee1b025d35"
CONVERSATION = KeptConversation(
    "c0", "Le fort, et après ?", "2026-10-31T12:00:00.000+00:00", "2026-11-01T12:00:00.000+00:00"
)


def answer() -> Answer:
    made = quoting(document(), QUOTE, "Que garde le fort ?")
    return replace(made, text="D’après le document :\n- Il garde la Meuse. [1]\n- Depuis 1872. [1]")


def exchanges() -> list[KeptExchange]:
    return [
        KeptExchange(
            "e1",
            "Que garde\nle fort ?",
            filters=(("tag", "histoire", "histoire"),),
            answer=answer(),
            alone=True,
            history=("Bonjour",),
            corpus_hash="f00",
            version="0.1.0",
            created="2026-10-31T12:00:00.000+00:00",
            settled="2026-10-31T12:00:01.000+00:00",
        ),
        KeptExchange("e2", "Et 2 * 3 ?", error="L’index est occupé."),
        KeptExchange("e3", "Encore ?"),
        KeptExchange("e4", "Jadis ?", unreadable=True),
    ]


def test_an_answer_is_copied_as_text_with_its_sources() -> None:
    assert answer_text(answer(), ORIGIN, FR) == (
        "D’après le document :\n- Il garde la Meuse. [1]\n- Depuis 1872. [1]\n"
        "\n"
        "Sources\u00a0:\n"
        "[1] «\u00a0Le fort date de 1872. Il garde la Meuse.\u00a0»\n"
        "    Le fort › Histoire (note.md)\n"
        f"    {ADDRESS}\n"
    )


def test_an_answer_is_copied_as_markdown() -> None:
    assert answer_markdown(answer(), ORIGIN, FR) == (
        "D’après le document :\n\n"
        "- Il garde la Meuse. \\[1\\]\n"
        "- Depuis 1872. \\[1\\]\n\n"
        "> Le fort date de 1872. Il garde la Meuse.\n"
        ">\n"
        f"> \\[1\\] Le fort › Histoire (note.md) · [Ouvrir le passage](<{ADDRESS}>)\n"
    )


def test_an_answer_is_copied_as_a_quotation_with_footnotes() -> None:
    second = replace(answer().citations[0], key="2", start=61, end=64, quote="Fin")
    both = replace(answer(), citations=(*answer().citations, second))
    origin = replace(ORIGIN, documents={})
    assert answer_memo(both, origin, FR) == (
        # Without the document that was quoted, the quote stands as in its source.
        "«\u00a0Le fort date de **1872**. Il garde la Meuse.\u00a0»¹\n\n"
        "«\u00a0Fin\u00a0»²\n\n"
        f"¹ Le fort › Histoire (note.md), {ADDRESS}, consulté le 1er novembre 2026.\n"
        "² Le fort › Histoire (note.md), "
        "http://127.0.0.1:8501/?doc=note.md&at=61-64&hash=5a2af601e7a2, "
        "consulté le 1er novembre 2026.\n"
    )


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("“Le fort date de 1872. Il garde la Meuse.”¹", "consulted on 1 November 2026.")),
        ("nl", ("“Le fort date de 1872. Il garde la Meuse.”¹", "geraadpleegd op 1 november 2026.")),
    ],
)
def test_a_memo_speaks_the_language_of_the_page(language: str, words: tuple[str, str]) -> None:
    texts = TEXTS["en" if language == "en" else "nl"]
    memo = answer_memo(answer(), ORIGIN, texts)
    assert all(part in memo for part in words)


def test_an_answer_without_quotes_is_copied_as_it_was_said() -> None:
    bare = replace(answer(), text="Rien.", citations=())
    assert answer_text(bare, ORIGIN, FR) == answer_memo(bare, ORIGIN, FR) == "Rien.\n"
    assert answer_markdown(bare, ORIGIN, FR) == "Rien.\n"


def test_a_quote_of_a_document_that_changed_is_not_taken_from_the_new_one() -> None:
    newer = replace(document(), content_hash="another", plain="x" * 100)
    origin = replace(ORIGIN, documents={NOTE: newer})
    assert "**1872**" in answer_text(answer(), origin, FR)


def test_a_conversation_as_markdown() -> None:
    made = conversation_markdown(CONVERSATION, exchanges(), ORIGIN, FR)
    assert made == (
        "# Le fort, et après ?\n\n"
        "*Conversation avec Citadelle, exportée le 1er novembre 2026*\n\n"
        "## Que garde le fort ?\n\n"
        "*Limité à\u00a0: Étiquette\u00a0: histoire*\n\n"
        "D’après le document :\n\n"
        "- Il garde la Meuse. \\[1\\]\n"
        "- Depuis 1872. \\[1\\]\n\n"
        "*Confiance élevée*\n\n"
        "> Le fort date de 1872. Il garde la Meuse.\n"
        ">\n"
        f"> \\[1\\] Le fort › Histoire (note.md) · [Ouvrir le passage](<{ADDRESS}>)\n\n"
        "## Et 2 \\* 3 ?\n\n"
        "*L’index est occupé.*\n\n"
        "## Encore ?\n\n"
        "*Cette question n’a pas encore de réponse.*\n\n"
        "## Jadis ?\n\n"
        f"*{FR.history_unreadable}*\n"
    )


def test_who_wrote_an_answer_is_said_wherever_it_is_taken() -> None:
    written = replace(
        answer(),
        mode="written",
        model=f"openai:{HOSTILE}",
        notice=NOTICES["ended"]["en"],
        removed=("Il compte mille canons.",),
    )
    kept = [KeptExchange("e1", "Que garde le fort ?", answer=written)]
    author = f"Rédigé par openai:{HOSTILE}, chaque phrase vérifiée."
    assert f"\n\n{author}\n\nSources" in answer_text(written, ORIGIN, FR)
    page = conversation_html(CONVERSATION, kept, ORIGIN, FR, "fr")
    pages = (
        MarkdownIt().render(answer_markdown(written, ORIGIN, FR)),
        MarkdownIt().render(conversation_markdown(CONVERSATION, kept, ORIGIN, FR)),
        page,
    )
    for shown in pages:
        assert f">{escape(author, quote=False)}</" in shown.replace("&#34;", '"').replace(
            "&quot;", '"'
        )
    for shown in pages[1:]:
        # In the language of what is taken, before the answer that it is about.
        assert shown.index(NOTICES["ended"]["fr"]) < shown.index("D’après le document")
        assert "canons" not in shown
    record = json.loads(conversation_json(CONVERSATION, kept, ORIGIN))["exchanges"][0]["answer"]
    assert record["model"] == written.model and record["removed"] == list(written.removed)
    assert author not in answer_text(answer(), ORIGIN, FR)


def test_a_conversation_as_json_holds_everything() -> None:
    record = json.loads(conversation_json(CONVERSATION, exchanges(), ORIGIN))
    assert record["format"] == "citadelle-conversation-1"
    assert (record["id"], record["title"], record["exported"]) == (
        "c0",
        "Le fort, et après ?",
        "2026-11-01",
    )
    first, second = record["exchanges"][:2]
    expected = answer().to_dict()
    expected["citations"][0] |= {"content_hash": "0", "address": ADDRESS}
    assert first["answer"] == expected
    assert first["question"] == "Que garde\nle fort ?"
    assert (first["history"], first["filters"]) == (["Bonjour"], {"tag": "histoire"})
    assert first["alone"] is True and second["alone"] is False
    assert (first["corpus_hash"], first["version"]) == ("f00", "0.1.0")
    assert (first["created"], first["settled"]) == (
        "2026-10-31T12:00:00.000+00:00",
        "2026-10-31T12:00:01.000+00:00",
    )
    assert (second["answer"], second["error"]) == (None, "L’index est occupé.")


class _Page(HTMLParser):
    """Collects the tags, the links and the text of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.lang = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.attributes |= set(given)
        if tag == "html":
            self.lang = given["lang"] or ""
        if "href" in given:
            self.links.append(given["href"] or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parsed(markup: str) -> _Page:
    page = _Page()
    page.feed(markup)
    page.close()
    return page


@pytest.mark.parametrize("language", ["fr", "en", "nl"])
def test_a_conversation_as_a_page_needs_nothing_else(language: str) -> None:
    code = "fr" if language == "fr" else "en" if language == "en" else "nl"
    markup = conversation_html(CONVERSATION, exchanges(), ORIGIN, TEXTS[code], code)
    page = parsed(markup)
    text = " ".join("".join(page.words).split())
    assert page.lang == language
    assert page.links == [ADDRESS]
    assert not set(page.tags) & {"script", "link", "img", "iframe", "form", "object"}
    assert not page.attributes & {"src", "style", "onclick", "onload"}
    assert "default-src 'none'" in markup
    style = re.search(r"<style>(.*?)</style>", markup, re.DOTALL)
    assert style is not None and "url(" not in style[1] and "@import" not in style[1]
    assert "@media print" in style[1]
    assert "Que garde le fort ?" in text
    assert "Le fort date de 1872. Il garde la Meuse." in text
    assert TEXTS[code].confidence_high in text
    assert " ".join(TEXTS[code].history_unreadable.split()) in text


# --- Text that looks like markup ----------------------------------------------------------

MARKS = (
    "# titre",
    "1. liste",
    "- point",
    "+ point",
    "=====",
    "> cité",
    "| a | b |",
    "`code` ~~~",
    "**gras** _penché_ ~~barré~~",
    "[lien](javascript:alert(1)) ![image](http://remote.invalid/x.png)",
    "http://remote.invalid/ www.remote.invalid qui@remote.invalid <http://remote.invalid/>",
    "&amp; &lt;b&gt; <b>b</b> <!-- x -->",
    "[1]: http://remote.invalid",
    "$x^2$ :red[rouge] :smile: :material/home:",
    "\\* \\",
    HOSTILE,
)


def hostile(text: str) -> tuple[KeptConversation, list[KeptExchange], Document, Answer]:
    source = Document(
        doc_id=f"{text[:20]}.md",
        title=text,
        text=text,
        plain=text,
        metadata={},
        language="fr",
        content_hash="9",
    )
    cited = Citation("1", source.doc_id, "8", 0, len(text), text, text, (text, "Histoire"))
    made = replace(
        quoting(document(), QUOTE), text=f"{text} [1]", citations=(cited,), understood=text
    )
    conversation = replace(CONVERSATION, title=text)
    kept = [
        KeptExchange("e", text, (("tag", text, text),), answer=made, hints=(text,)),
        KeptExchange("f", text, error=text),
    ]
    return conversation, kept, source, made


@pytest.mark.parametrize("text", MARKS)
def test_markup_of_others_stays_text_in_markdown(text: str) -> None:
    conversation, kept, _, made = hostile(text)
    for written in (
        conversation_markdown(conversation, kept, ORIGIN, FR),
        answer_markdown(made, ORIGIN, FR),
    ):
        # As on the platforms where people paste it: with tables, strikethrough and HTML.
        reader = MarkdownIt("gfm-like", {"html": True, "linkify": False})
        rendered = reader.render(written)
        # Those platforms make links of bare addresses, too.
        own = f"(<{BASE}"
        assert not re.search(r"[a-z]://|www\.|[a-z]@", written.replace(own, ""), re.IGNORECASE)
        page = parsed(rendered)
        allowed = {"h1", "h2", "p", "em", "ul", "li", "blockquote", "a", "br"}
        assert set(page.tags) <= allowed, rendered
        assert all(link.startswith(f"{BASE}?doc=") for link in page.links)
        shown = " ".join("".join(page.words).split())
        count = len(re.findall(re.escape(" ".join(text.split())), shown))
        assert count >= 2, rendered


@pytest.mark.parametrize("text", MARKS)
def test_markup_of_others_stays_text_in_html(text: str) -> None:
    conversation, kept, _, _ = hostile(text)
    page = parsed(conversation_html(conversation, kept, ORIGIN, FR, "fr"))
    assert not set(page.tags) & {"script", "img", "b"}
    assert len(page.links) == 1 and page.links[0].startswith(BASE)
    shown = " ".join("".join(page.words).split())
    # Title of the page twice, questions, a filter, the answer, a hint, quote, source, error.
    assert shown.count(" ".join(text.split()).removeprefix("- ")) >= 8


@pytest.mark.parametrize("text", MARKS)
def test_markup_of_others_stays_text_in_json(text: str) -> None:
    conversation, kept, _, _ = hostile(text)
    record = json.loads(conversation_json(conversation, kept, ORIGIN))
    assert record["title"] == record["exchanges"][0]["question"] == text
    assert record["exchanges"][0]["answer"]["citations"][0]["quote"] == text


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Où siège le BCC ?", "citadelle-2026-10-31-ou-siege-le-bcc.md"),
        ("../../etc/passwd", "citadelle-2026-10-31-etc-passwd.md"),
        ("¿?", "citadelle-2026-10-31-c0.md"),
        ("x" * 100, f"citadelle-2026-10-31-{'x' * 50}.md"),
    ],
)
def test_a_file_is_named_after_its_conversation(title: str, name: str) -> None:
    assert file_name(replace(CONVERSATION, title=title), "md") == name
