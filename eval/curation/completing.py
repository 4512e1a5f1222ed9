"""Complete the draft of a gold question, by asking for what it lacks, one field after the other."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence

import typer

from eval.curation.drafts import FIELDS, TYPES, Draft, fill, missing
from eval.curation.findings import quoted
from eval.dataset import GOLD_LANGUAGES, resolve_document
from eval.verbatim import locate, nearest
from rag.errors import DatasetError
from rag.questions import asked_for, wants_list
from rag.types import Document

__all__ = ["Ask", "Say", "complete", "yes_or_no"]

# What is asked, and what an empty line stands for; returns what was typed.
Ask = Callable[[str, str], str]
Say = Callable[[str], None]

_NUMBERS = re.compile(r"\d+(?:[\s,;]+\d+)*")
_OPTIONS = {
    "lang": "--lang",
    "answerable": "--answer or --unanswerable",
    "type": "--type",
    "polarity": "--polarity",
    "evidence": "--evidence",
    "doc": "--doc",
    "answers": "--answer",
}
_YES = frozenset(("y", "yes", "o", "oui", "j", "ja"))
_NO = frozenset(("n", "no", "non", "nee"))


def complete(
    record: Draft,
    documents: Mapping[str, Document],
    ask: Ask | None,
    say: Say = typer.echo,
    choices: Sequence[tuple[str, str]] = (),
) -> Draft:
    """Return the draft with every field filled in, asking for one after the other.

    An answer or evidence that does not stand in the document word for word is refused with
    the nearest that does. `choices` are the passages to choose evidence from. Without
    `ask` nothing is asked: raises `DatasetError` that names what is missing or wrong.
    """
    filled = dict(record)
    if ask is None:
        _take_suggestions(filled, documents)
        if lacking := missing(filled):
            options = ", ".join(_OPTIONS[name] for name in lacking)
            raise DatasetError(f"Fields are missing ({', '.join(lacking)}); give {options}.")
    for name in FIELDS:
        while problem := _problem(filled, name, documents):
            if ask is None:
                raise DatasetError(problem)
            if filled.get(name) not in (None, "", []):
                say(problem)
            _ask_for(name, filled, documents, ask, say, choices)
    if filled["type"] == "list" and len(filled["answers"]) > 1:
        filled["answer_groups"] = [[answer] for answer in filled["answers"]]
    return filled


def _take_suggestions(record: Draft, documents: Mapping[str, Document]) -> None:
    record["type"] = record["type"] or _suggested_type(record)
    if record["evidence"] and not record["doc"]:
        holding = _holding(record["evidence"], documents)
        record["doc"] = holding[0] if len(holding) == 1 else ""


def _suggested_type(record: Draft) -> str:
    if record.get("history"):
        return "followup"
    if wants_list(record["question"]):
        return "list"
    known = {"date": "date", "definition": "definition", "expansion": "acronym"}
    return known.get(asked_for(record["question"]), "fact")


def _problem(record: Draft, name: str, documents: Mapping[str, Document]) -> str:
    """Return in one sentence what is wrong with a field, nothing when it is right."""
    value = record.get(name)
    if name == "lang":
        known = ", ".join(GOLD_LANGUAGES)
        return "" if value in GOLD_LANGUAGES else f"The language {value!r} is none of {known}."
    if name == "answerable":
        return "" if value is not None else "Nobody said whether the documents answer."
    if not record["answerable"]:
        return ""
    if name == "type":
        return _type_problem(record)
    if name == "polarity":
        right = record["type"] != "yesno" or value in ("yes", "no")
        return "" if right else f"The polarity {value!r} is neither 'yes' nor 'no'."
    if name == "evidence":
        return _evidence_problem(record, documents)
    if name == "doc":
        return _document_problem(record, documents)
    return _answers_problem(record["answers"], record["evidence"])


def _type_problem(record: Draft) -> str:
    if not record["type"]:
        return "The type is missing."
    if record["type"] == "unanswerable":
        return "The type 'unanswerable' is for questions without an answer; give another."
    if record["type"] == "followup" and not record.get("history"):
        return "The type 'followup' is for questions that lean on earlier ones; give another."
    return ""


def _evidence_problem(record: Draft, documents: Mapping[str, Document]) -> str:
    if not record["evidence"]:
        return "There is no evidence."
    where = documents
    if record["doc"]:
        try:
            doc_id = resolve_document(record["doc"], documents)
        except DatasetError:
            return ""  # Said of the document, which comes next.
        where = {doc_id: documents[doc_id]}
    for text in record["evidence"]:
        if not any(locate(document, text) for document in where.values()):
            place = next(iter(where)) if record["doc"] else "any document"
            near = _nearest(text, [document.plain for document in where.values()])
            return f"The evidence {quoted(text)} is not word for word in {place}{near}."
    if not _holding(record["evidence"], where):
        return "The evidence is in several documents; a question has one, choose from that."
    return ""


def _document_problem(record: Draft, documents: Mapping[str, Document]) -> str:
    if not record["doc"]:
        return "The document is missing."
    try:
        doc_id = resolve_document(record["doc"], documents)
    except DatasetError as error:
        return str(error)
    if doc_id not in _holding(record["evidence"], documents):
        return f"The evidence is not in {doc_id}; give the document where it is."
    return ""


def _answers_problem(answers: Sequence[str], evidence: Sequence[str]) -> str:
    if not answers:
        return "There is no answer."
    for text in answers:
        if not any(text in proof for proof in evidence):
            near = _nearest(text, evidence)
            return f"The answer {quoted(text)} is not word for word in the evidence{near}."
    return ""


def _nearest(text: str, plains: Sequence[str]) -> str:
    found = [near for plain in plains if (near := nearest(text, plain))]
    if not found:
        return ", where nothing is like it"
    best = max(found, key=lambda near: difflib.SequenceMatcher(None, near, text).ratio())
    return f", where the nearest is “{' '.join(best.split())}”"


def _holding(evidence: Sequence[str], documents: Mapping[str, Document]) -> list[str]:
    return [
        document.doc_id
        for document in documents.values()
        if all(locate(document, text) for text in evidence)
    ]


def _ask_for(
    name: str,
    record: Draft,
    documents: Mapping[str, Document],
    ask: Ask,
    say: Say,
    choices: Sequence[tuple[str, str]],
) -> None:
    """Ask once for a field and put into the record what was typed."""
    if name == "lang":
        record["lang"] = ask(f"Language of the question ({', '.join(GOLD_LANGUAGES)})", "")
    elif name == "answerable":
        record["answerable"] = yes_or_no(ask("Do the documents answer it? (yes, no)", ""))
        if record["answerable"] is False:
            record.update(fill(record, unanswerable=True))
    elif name == "type":
        record["type"] = ask(f"Type ({', '.join(TYPES)})", _suggested_type(record))
    elif name == "polarity":
        said = yes_or_no(ask("Is the right answer yes or no?", ""))
        record["polarity"] = {True: "yes", False: "no", None: ""}[said]
    elif name == "evidence":
        _ask_for_evidence(record, documents, ask, say, choices)
    elif name == "doc":
        holding = _holding(record["evidence"], documents)
        if len(holding) == 1 and not record["doc"]:
            record["doc"] = holding[0]
            return
        say(f"The evidence is in {', '.join(holding)}.")
        record["doc"] = ask("Document, or the beginning of its name", "")
    else:
        _ask_for_answers(record, ask, say)


def yes_or_no(typed: str) -> bool | None:
    word = typed.strip().casefold()
    return True if word in _YES else False if word in _NO else None


def _ask_for_evidence(
    record: Draft,
    documents: Mapping[str, Document],
    ask: Ask,
    say: Say,
    choices: Sequence[tuple[str, str]],
) -> None:
    wanted = record["doc"]
    if wanted:
        try:
            wanted = resolve_document(wanted, documents)
        except DatasetError as error:
            say(str(error))
            record["doc"] = ask("Document, or the beginning of its name", "")
            return
    offered = [(doc_id, text) for doc_id, text in choices if wanted in ("", doc_id)]
    for number, (doc_id, text) in enumerate(offered, 1):
        say(f"{number}. {' '.join(text.split())}  ({doc_id})")
    how = "the numbers of sentences above, or " if offered else ""
    typed = ask(f"Evidence: {how}its words as they stand in the document", "").strip()
    numbers = [int(digits) for digits in re.findall(r"\d+", typed)]
    if _NUMBERS.fullmatch(typed) and all(1 <= number <= len(offered) for number in numbers):
        record["evidence"] = [offered[number - 1][1] for number in dict.fromkeys(numbers)]
    else:
        record["evidence"] = [typed] if typed else []


def _ask_for_answers(record: Draft, ask: Ask, say: Say) -> None:
    """Ask for answers until an empty line; of a list each must be said, else any one may."""
    another = (
        "Another part of the list" if record["type"] == "list" else "Another wording that is right"
    )
    answers: list[str] = []
    while True:
        prompt = f"{another} (nothing ends)" if answers else "Answer, word for word in the evidence"
        typed = ask(prompt, "").strip()
        if not typed and answers:
            break
        problem = _answers_problem([typed] if typed else [], record["evidence"])
        if problem:
            say(problem)
        elif typed not in answers:
            answers.append(typed)
    record["answers"] = answers
