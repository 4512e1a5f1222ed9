"""The check of a gold file, over two notes whose facts can be counted by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from eval.curation import check
from eval.curation.findings import Findings
from eval.dataset import Dataset, Item, load_gold
from rag.documents import parse
from rag.errors import DatasetError
from rag.types import Document

BUREAU = (
    "---\npays: Belgique\n---\n# Le bureau\n\n"
    "Le **bureau** siège à Bruxelles depuis 2022. Il aime la paix. "
    "Il a signé l'accord avec l'OTAN.\n"
)
PROJET = "# Le projet\n\nLe projet avec le Niger a commencé en 2021.\n"
SEAT = "Le bureau siège à Bruxelles depuis 2022."


@pytest.fixture
def documents() -> dict[str, Document]:
    return {
        name: parse(text, name, format="markdown")
        for name, text in (("bureau.md", BUREAU), ("projet.md", PROJET))
    }


def item(identifier: str = "a", question: str = "Où siège-t-il ?", **more: Any) -> Item:
    given = {"lang": "fr", "answers": ("Bruxelles",), "evidence": (SEAT,), "doc": "bureau"}
    return Item(identifier, question=question, type=more.pop("type", "fact"), **(given | more))


def unanswerable(identifier: str, question: str, lang: str = "fr", **more: Any) -> Item:
    return Item(identifier, lang, question, type="unanswerable", answerable=False, **more)


def examined(documents: dict[str, Document], *items: Item) -> Findings:
    return check.examine(Dataset({"kind": "gold", "name": "g.jsonl"}, items), documents)


def kinds(findings: Findings) -> list[tuple[str, str]]:
    """Return (item, kind) of what concerns single questions."""
    return [(finding.item, finding.kind) for finding in findings.findings if finding.item]


# --- Errors -------------------------------------------------------------------------------


def test_texts_may_be_plain_or_canonical(documents: dict[str, Document]) -> None:
    marked = item(evidence=("Le **bureau** siège à Bruxelles",), answers=("bureau",))
    other = item("b", "Que signe-t-il ?", evidence=(SEAT,), answers=("Le **bureau** siège",))
    assert kinds(examined(documents, marked, other)) == []


def test_a_document_that_is_not_found_or_ambiguous(documents: dict[str, Document]) -> None:
    documents["bureau-2.md"] = parse("Rien.\n", "bureau-2.md", format="markdown")
    found = examined(documents, item(doc="carte"), item("b", "Et où ?", doc="bureau"))
    assert kinds(found) == [("a", "document"), ("b", "document")]
    first, second = found.errors
    assert first.what == "no document of the corpus is named or begins with 'carte'"
    assert first.remedy == "its evidence is in bureau.md, put that into 'doc'"
    assert second.what == "the document 'bureau' may be any of bureau-2.md, bureau.md"
    nowhere = examined(documents, item(doc="carte", evidence=("Nulle part.",)))
    assert "or add the document" in nowhere.errors[0].remedy


def test_evidence_that_is_nowhere_or_elsewhere(documents: dict[str, Document]) -> None:
    found = examined(
        documents,
        item(evidence=("Le bureau siege à Bruxelles",)),
        item("b", "Quand ?", doc="projet", answers=("2022",)),
    )
    assert kinds(found) == [
        ("a", "evidence_nowhere"),
        ("b", "evidence_elsewhere"),
        # The answer is in the evidence, but neither is in this document.
        ("b", "answer_not_verbatim"),
    ]
    nowhere, elsewhere, _ = found.errors
    assert nowhere.what == (
        "the evidence “Le bureau siege à Bruxelles” is not word for word in bureau.md, "
        "nor in another document"
    )
    assert nowhere.remedy.endswith("the nearest is “Le bureau siège à Bruxelles”")
    assert elsewhere.remedy.startswith("it is in bureau.md: put that into 'doc'")


def test_answers_that_are_not_verbatim_or_outside_the_evidence(
    documents: dict[str, Document],
) -> None:
    found = examined(
        documents,
        item(answers=("Bruxelles", "bruxelles", "l'OTAN")),
        item("b", "Qui ?", answer_groups=(("Bruxelles",), ("la guerre",))),
    )
    assert kinds(found) == [
        ("a", "answer_not_verbatim"),
        ("a", "answer_outside_evidence"),
        ("b", "answer_not_verbatim"),
    ]
    assert "nearest is “Bruxelles”" in found.errors[0].remedy
    assert "“l'OTAN” is in bureau.md, but in no evidence" in found.errors[1].what
    # "la" is 2 of 8 letters.
    assert found.errors[2].remedy == "copy it from the document, where nothing is like it"


def test_fields_that_contradict_each_other(documents: dict[str, Document]) -> None:
    found = examined(
        documents,
        item(type="yesno"),
        item("b", "Et lui ?", type="followup"),
        item("c", "Qui ?", type="unanswerable"),
        Item("d", "fr", "Pourquoi pas ?", type="fact", answerable=False),
        item("e", "Est-ce à Bruxelles ?", type="yesno", polarity="yes"),
        item("f", "Et eux ?", type="followup", history=("Qui ?",)),
    )
    assert kinds(found) == [(name, "inconsistent") for name in "abcd"]


def test_questions_asked_twice(documents: dict[str, Document]) -> None:
    found = examined(
        documents,
        item("a", "Où siège le bureau ?", line=1),
        item("b", "où  siège le bureau", answers=("à Bruxelles",), line=2),
        item("c", "Où siège le bureau ?", answers=("2022",), line=3),
        unanswerable("d", "Où siège le bureau?", line=4),
        # After another question it is another question.
        item("e", "Où siège le bureau ?", history=("Qui ?",), type="followup", line=5),
    )
    assert [(error.item, error.kind) for error in found.errors] == [
        ("b", "duplicate"),
        ("c", "contradiction"),
        ("d", "contradiction"),
    ]
    assert found.errors[0].what == "it asks the same as a on line 1"
    assert found.errors[0].where == "g.jsonl, line 2"


def test_the_same_words_in_another_order(documents: dict[str, Document]) -> None:
    found = examined(
        documents,
        item("a", "Où siège le bureau ?", line=1),
        item("b", "Le bureau siège où ?", line=2),
        item("c", "Le bureau, où siège-t-il ?", answers=("2022",), line=3),
        # What is asked for differs; so does the language.
        item("d", "Quand siège le bureau ?"),
        item("e", "Où siège le bureau ?!", lang="nl", history=("Wie ?",), type="followup"),
        # Without content words nothing can be compared.
        item("f", "Et lui ?", history=("A ?",), type="followup"),
        item("g", "Et elle ?", history=("A ?",), type="followup"),
    )
    assert kinds(found) == [("b", "near_duplicate"), ("c", "near_duplicate")]
    assert not found.serious
    assert found.warnings[0].what == "it asks in the words of a on line 1, in another order"
    assert found.warnings[1].what.endswith("in another order, and its answer is another")


# --- Warnings -----------------------------------------------------------------------------


def test_balance_of_languages_types_and_abstention(documents: dict[str, Document]) -> None:
    # 8 fr, 2 en, 0 nl: the mean is 10 / 3, half of it 1.67, so only nl is rare.
    french = [item(f"f{n}", f"Où est le numéro {n} ?") for n in range(8)]
    english = [item(f"e{n}", f"Where is number {n}?", lang="en", type="date") for n in range(2)]
    found = examined(documents, *french, *english)
    assert [(f.kind, f.what) for f in found.warnings] == [
        (
            "rare_language",
            "0 of 10 questions are in 'nl', less than half the mean of 3.3 a language",
        ),
        ("rare_type", "the type 'date' has 2 of 10 questions, fewer than 3"),
        ("unanswerable_share", "0 of 10 questions are unanswerable, under 10%"),
    ]
    assert found.languages == {"fr": 8, "en": 2, "nl": 0}
    assert found.types == {"fact": 8, "date": 2}


@pytest.mark.parametrize(("without", "warned"), [(0, True), (1, False), (5, False), (6, True)])
def test_bounds_of_the_unanswerable_share(
    documents: dict[str, Document], without: int, warned: bool
) -> None:
    # Of 10: a tenth and a half are within the bounds.
    items = [unanswerable(f"u{n}", f"Quel est le prix du lot {n} ?") for n in range(without)]
    items += [item(f"a{n}", f"Où est le numéro {n} ?") for n in range(10 - without)]
    found = examined(documents, *items)
    assert ("unanswerable_share" in [f.kind for f in found.warnings]) is warned


def test_unanswerable_questions_that_may_have_an_answer(documents: dict[str, Document]) -> None:
    found = examined(
        documents,
        # "bureau" is in the heading, "signé" and "accord" in the third sentence.
        unanswerable("a", "Avec qui le bureau a-t-il signé l'accord ?"),
        # The same words, but that sentence holds no date and no sum.
        unanswerable("b", "Quand le bureau a-t-il signé l'accord ?"),
        unanswerable("c", "Combien d'euros a coûté l'accord signé du bureau ?"),
        # "guerre" is nowhere and weighs most.
        unanswerable("d", "Le bureau aime-t-il la guerre ?"),
        # As a follow-up it asks whether the bureau signed the accord.
        unanswerable("e", "Et l'a-t-il signé ?", history=("Que dit le bureau de l'accord ?",)),
    )
    assert kinds(found) == [("a", "perhaps_answered"), ("e", "perhaps_answered")]
    assert found.warnings[0].what == (
        "bureau.md holds 100% of its words: “Il a signé l'accord avec l'OTAN.”"
    )
    assert (found.probed, found.probed_across, found.unprobed) == (5, 0, 0)
    assert not found.serious


def test_across_languages_only_words_spelt_alike_are_compared(
    documents: dict[str, Document],
) -> None:
    found = examined(
        documents,
        # Four words that the notes have: bureau, Bruxelles, 2022 and siège.
        unanswerable("a", "Does the bureau siège in Bruxelles 2022?", "en"),
        # Four, in two notes: bureau, Bruxelles, Niger, projet.
        unanswerable("b", "Has the bureau of Bruxelles the Niger projet?", "en"),
        # Three: too few to say anything.
        unanswerable("c", "Does the bureau sit in Bruxelles since 2022?", "en"),
        unanswerable("d", "Wie betaalt?", "nl"),
    )
    assert kinds(found) == [("a", "perhaps_answered")]
    assert "as far as words spelt alike in both languages tell" in found.warnings[0].what
    assert (found.probed, found.probed_across, found.unprobed) == (0, 2, 2)


# --- Coverage -----------------------------------------------------------------------------


def test_facts_that_no_question_covers(documents: dict[str, Document]) -> None:
    # The first note has three facts: its property, Bruxelles and 2022, the OTAN. "Il aime
    # la paix." names nothing. The other has one.
    found = examined(
        documents,
        item(evidence=("siège à **Bruxelles", "Bruxelles depuis")),
        item("b", "Où est-ce ?", doc="nulle part"),
        unanswerable("c", "Quel est le prix ?"),
    )
    bureau, projet = found.coverage
    assert (bureau.doc_id, bureau.facts, bureau.covered) == ("bureau.md", 3, 1)
    assert [fact.text for fact in bureau.uncovered] == [
        "pays : Belgique",
        "Il a signé l'accord avec l'OTAN.",
    ]
    otan = bureau.uncovered[1]
    assert documents["bureau.md"].text[otan.start : otan.end] == otan.text
    assert (projet.facts, projet.covered) == (1, 0)


def test_counts_add_up(documents: dict[str, Document]) -> None:
    found = examined(
        documents,
        item(answers=("bruxelles",)),
        item("b"),
        unanswerable("c", "Avec qui le bureau a-t-il signé l'accord ?"),
        unanswerable("d", "Who pays?", "en"),
    )
    record = found.to_dict()
    counts = record["counts"]
    assert counts["items"] == 4 == counts["answerable"] + counts["unanswerable"]
    assert sum(counts["languages"].values()) == sum(counts["types"].values()) == 4
    looked = counts["probed"] + counts["probed_across_languages"] + counts["not_probed"]
    assert counts["unanswerable"] == looked == 2
    tallies = [*counts["errors"].values(), *counts["warnings"].values()]
    assert sum(tallies) == len(record["findings"]) == len(found.errors) + len(found.warnings)
    assert counts["errors"]["answer_not_verbatim"] == counts["errors"]["duplicate"] == 1
    assert counts["facts"] == 4 == counts["covered"] + counts["uncovered"]
    assert counts["uncovered"] == sum(len(entry["uncovered"]) for entry in record["coverage"])
    assert json.loads(json.dumps(record)) == record


# --- Output -------------------------------------------------------------------------------


def printed(findings: Findings) -> str:
    out = io.StringIO()
    check.print_findings(findings, Console(file=out, width=200))
    return out.getvalue()


def test_what_is_printed(documents: dict[str, Document]) -> None:
    text = printed(examined(documents, item(answers=("[bold]x",), line=7)))
    assert "g.jsonl: 1 questions, 1 answerable and 0 not." in text
    assert "Errors: 1. Warnings: 4." in text  # two languages, a type, and no abstention
    assert "g.jsonl, line 7 (a): the answer “[bold]x” is not word for word in bureau.md;" in text
    assert "· Il a signé l'accord avec l'OTAN." in text
    assert "bureau.md │     3 │       1 │   33%" in text


def test_long_lists_are_cut_and_counted(documents: dict[str, Document]) -> None:
    facts = "".join(f"- Le numéro {n}.\n" for n in range(17))
    documents["liste.md"] = parse(f"# Liste\n\n{facts}", "liste.md", format="markdown")
    items = [item(str(n), f"Où est {n} ?", doc="x") for n in range(61)]
    text = printed(examined(documents, *items))
    assert "The other 1 are in --json FILE." in text
    assert "and 2 others" in text


def app() -> typer.Typer:
    found = typer.Typer()
    found.command("check")(check.command)
    return found


def test_the_command_writes_and_fails_on_errors(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "bureau.md").write_text(BUREAU, encoding="utf-8")
    (corpus / "vide.md").write_text("")
    gold, out = tmp_path / "g.jsonl", tmp_path / "out.json"
    record = {
        "id": "a",
        "lang": "fr",
        "question": "Où ?",
        "answers": ["Bruxelles"],
        "evidence": [SEAT],
        "doc": "bureau",
        "type": "fact",
        "answerable": True,
    }
    arguments = [str(gold), "--corpus", str(corpus), "--json", str(out)]
    gold.write_text("\n" + json.dumps(record) + "\n")
    result = CliRunner().invoke(app(), arguments)
    assert result.exit_code == 0, result.output
    assert "Skipped vide.md: is empty" in result.stderr
    assert json.loads(out.read_text())["counts"]["facts"] == 3
    gold.write_text("\n" + json.dumps({**record, "answers": ["Namur"]}) + "\n")
    result = CliRunner().invoke(app(), arguments)
    assert result.exit_code == 1
    (error,) = [f for f in json.loads(out.read_text())["findings"] if f["serious"]]
    assert (error["where"], error["item"]) == ("g.jsonl, line 2", "a")
    assert load_gold(gold).items[0].line == 2


def test_a_corpus_that_is_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere: there is no such folder.*--corpus"):
        check.read_corpus(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no document that can be read"):
        check.read_corpus(tmp_path)
