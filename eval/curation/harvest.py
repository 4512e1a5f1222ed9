"""From feedback to gold questions: pre-fill what is known, ask for the rest, check, add a line.

Nothing is written before the whole question has passed the checks of a gold file, so
that stopping at any prompt leaves the file as it was.
"""

from __future__ import annotations

import difflib
import json as jsonlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from filelock import FileLock, Timeout
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.curation.check import item_findings, read_corpus
from eval.curation.findings import Finding, quoted
from eval.dataset import GOLD_LANGUAGES, json_lines, load_gold, resolve_document
from eval.verbatim import locate, nearest
from rag.chunking import units
from rag.config import load_settings
from rag.conversation import standalone
from rag.errors import DatasetError, FeedbackError
from rag.feedback import Feedback, FeedbackStore, Verdict
from rag.questions import asked_for, wants_list
from rag.types import Document, Language

__all__ = [
    "Ask",
    "Say",
    "append",
    "changes",
    "command",
    "complete",
    "draft",
    "feedback_command",
    "fill",
    "missing",
    "passages",
    "print_feedback",
]

# What is asked, and what an empty line stands for; returns what was typed.
Ask = Callable[[str, str], str]
Say = Callable[[str], None]
Draft = dict[str, Any]

TYPES = ("fact", "date", "definition", "acronym", "list", "yesno", "followup", "typo")
# How long to wait for another harvest to write its line, in seconds.
_PATIENCE = 10.0
# More sentences than this are no choice any more.
_MOST_PASSAGES = 40
_OWN_ID = re.compile(r"u(\d{3,})")
_NUMBERS = re.compile(r"\d+(?:[\s,;]+\d+)*")
# The order in which fields are asked for: each leans on those before it.
_FIELDS = ("lang", "answerable", "type", "polarity", "evidence", "doc", "answers")
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


# --- Pre-filling --------------------------------------------------------------------------


def draft(
    feedback: Feedback, documents: Mapping[str, Document], taken: Collection[str] = ()
) -> Draft:
    """Return a gold record as far as the feedback tells; what it does not is empty.

    An answer that was right gives its short answer, the quotes that hold it and their
    document; an abstention that was right gives a complete unanswerable question. Of what
    was wrong only the expected answer is taken, with the sentence where it stands, if it
    stands in one only. `answerable` is None where nobody said. `taken` are the ids in use.
    """
    language = cast("Language", feedback.language)
    record: Draft = {
        "id": _next_id(taken),
        "lang": language if language in GOLD_LANGUAGES else "",
        "question": feedback.question,
        "answers": [],
        "evidence": [],
        "doc": "",
        "type": "",
        "answerable": True,
    }
    if standalone(feedback.question, feedback.history).carried:
        record["history"] = list(feedback.history)
    abstained = bool(feedback.answer.get("abstained"))
    if feedback.verdict == "right" and abstained:
        return fill(record, unanswerable=True)
    if feedback.verdict == "right":
        return record | _from_citations(feedback, documents)
    if feedback.expected:
        return record | _from_expected(feedback.expected, documents)
    return record | {"answerable": True if abstained else None}


def fill(
    record: Draft,
    *,
    answers: Sequence[str] = (),
    evidence: Sequence[str] = (),
    doc: str = "",
    type: str = "",
    lang: str = "",
    polarity: str = "",
    unanswerable: bool = False,
) -> Draft:
    """Return a draft with what a person gave in place of what was pre-filled.

    Raises `DatasetError` when that contradicts itself.
    """
    if unanswerable:
        if answers or evidence or doc or polarity or type not in ("", "unanswerable"):
            raise DatasetError(
                "An unanswerable question has no answer, evidence, document, polarity or type of "
                "its own; leave these options out, or --unanswerable."
            )
        emptied = {"answers": [], "evidence": [], "doc": "", "answerable": False}
        filled = {**record, **emptied, "type": "unanswerable"}
        filled.pop("polarity", None)
        return {**filled, "lang": lang or record["lang"]}
    given = {
        "answers": list(answers),
        "evidence": list(evidence),
        "doc": doc,
        "type": type,
        "lang": lang,
        "polarity": polarity,
    }
    filled = {**record, **{name: value for name, value in given.items() if value}}
    if answers or evidence:
        filled["answerable"] = True
    # Evidence of one's own may stand in another document than what was cited.
    if evidence and not doc:
        filled["doc"] = ""
    return filled


def missing(record: Draft) -> tuple[str, ...]:
    """Return the fields of a draft that must be asked for, in order."""
    if record["answerable"] is False:
        return () if record["lang"] else ("lang",)
    empty = [name for name in _FIELDS if record.get(name) in (None, "", [])]
    return tuple(name for name in empty if name != "polarity" or record["type"] == "yesno")


def changes(feedback: Feedback, documents: Mapping[str, Document]) -> tuple[str, ...]:
    """Say of each document how it differs from what the answer was made from."""
    said: dict[str, str] = {}
    for citation in feedback.answer["citations"]:
        doc_id, document = citation["doc_id"], documents.get(citation["doc_id"])
        if document is None:
            said[doc_id] = f"{doc_id} is no longer among the documents."
        elif _quote_place(document, citation) is None:
            quote = quoted(citation["quote"])
            said[doc_id] = f"{doc_id} has changed since; it no longer says {quote}."
        elif document.content_hash != citation["content_hash"]:
            said.setdefault(doc_id, f"{doc_id} has changed since; what was quoted still stands.")
    for passage in feedback.answer["passages"]:
        doc_id, document = passage["doc_id"], documents.get(passage["doc_id"])
        if document is None or _text_place(document, passage["text"], passage["start"]) is None:
            said.setdefault(doc_id, f"{doc_id} has changed since; a passage of it is gone.")
    return tuple(said.values())


def passages(feedback: Feedback, documents: Mapping[str, Document]) -> tuple[tuple[str, str], ...]:
    """Return what evidence can be chosen from, as (document, plain text).

    First what the answer quoted, then the sentences, items and rows of what was read.
    """
    found: dict[tuple[str, str], None] = {}
    for citation in feedback.answer["citations"]:
        document = documents.get(citation["doc_id"])
        place = _quote_place(document, citation) if document else None
        if document and place:
            found[document.doc_id, document.plain[slice(*place)]] = None
    for passage in feedback.answer["passages"]:
        document = documents.get(passage["doc_id"])
        place = _text_place(document, passage["text"], passage["start"]) if document else None
        if document and place:
            for unit in units(document, *place):
                found[document.doc_id, document.plain[unit.start : unit.end]] = None
    return tuple(found)[:_MOST_PASSAGES]


def _from_citations(feedback: Feedback, documents: Mapping[str, Document]) -> Draft:
    quotes: dict[str, list[str]] = {}
    for citation in feedback.answer["citations"]:
        document = documents.get(citation["doc_id"])
        place = _quote_place(document, citation) if document else None
        if document and place:
            quotes.setdefault(document.doc_id, []).append(document.plain[slice(*place)])
    short = feedback.answer["short_answer"]
    # One question has one document: the one with the short answer, else the first quoted.
    for doc_id, texts in quotes.items():
        holding = [text for text in texts if short and short in text]
        if holding:
            return {"doc": doc_id, "evidence": holding, "answers": [short]}
    doc_id = next(iter(quotes), "")
    return {"doc": doc_id, "evidence": quotes.get(doc_id, [])}


def _from_expected(expected: str, documents: Mapping[str, Document]) -> Draft:
    holding = [
        (document.doc_id, document.plain[unit.start : unit.end])
        for document in documents.values()
        if expected in document.plain
        for unit in units(document)
        if expected in document.plain[unit.start : unit.end]
    ]
    if len(holding) == 1:
        return {"answers": [expected], "doc": holding[0][0], "evidence": [holding[0][1]]}
    return {"answers": [expected]}


def _quote_place(document: Document, citation: Mapping[str, Any]) -> tuple[int, int] | None:
    return _text_place(document, citation["quote"], citation["start"])


def _text_place(document: Document, text: str, start: int) -> tuple[int, int] | None:
    """Return where a canonical text stands now, in plain offsets: at its place, or elsewhere."""
    if document.text[start : start + len(text)] != text:
        start = document.text.find(text)
    if not text or start < 0:
        return None
    low, high = document.offsets.to_plain(start, start + len(text))
    return (low, high) if low < high else None


def _next_id(taken: Collection[str]) -> str:
    """Return the id after the last of ours; one that was taken out is not given again."""
    numbers = [int(found[1]) for name in taken if (found := _OWN_ID.fullmatch(name))]
    return f"u{max(numbers, default=0) + 1:03d}"


# --- Completing ---------------------------------------------------------------------------


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
    for name in _FIELDS:
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
        record["answerable"] = _yes_or_no(ask("Do the documents answer it? (yes, no)", ""))
        if record["answerable"] is False:
            record.update(fill(record, unanswerable=True))
    elif name == "type":
        record["type"] = ask(f"Type ({', '.join(TYPES)})", _suggested_type(record))
    elif name == "polarity":
        said = _yes_or_no(ask("Is the right answer yes or no?", ""))
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


def _yes_or_no(typed: str) -> bool | None:
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


# --- Writing ------------------------------------------------------------------------------


def append(
    gold: Path, record: Draft, documents: Mapping[str, Document]
) -> tuple[str, tuple[Finding, ...]]:
    """Add a question to a gold file; return its id and what is worth a look in it.

    The id is given here, when nobody else can take it. The new content is written beside
    the file, read back and checked as a whole, and only then takes its place. Raises
    `DatasetError`, with the file as it was, when the file or the question is not right.
    """
    target = gold.resolve()
    if not target.parent.is_dir():
        raise DatasetError(f"{gold}: cannot be written; its folder does not exist.")
    try:
        with FileLock(target.with_name(f".{target.name}.lock"), timeout=_PATIENCE):
            before = target.read_bytes() if target.exists() else b""
            identifier = _next_id(_ids(gold) if before.strip() else ())
            line = jsonlib.dumps({**record, "id": identifier}, ensure_ascii=False).encode()
            # The last line of a file that was written by hand may not be ended.
            joint = b"\n" if before and not before.endswith(b"\n") else b""
            with _beside(target, before + joint + line + b"\n") as written:
                warnings = _checked(written, gold, identifier, documents)
                if target.exists():
                    shutil.copymode(target, written)
                written.replace(target)
            return identifier, warnings
    except Timeout as error:
        raise DatasetError(f"Another process is writing {gold}; try again.") from error
    except OSError as error:
        raise DatasetError(
            f"{gold}: cannot be written ({error.strerror or error}); it is as it was."
        ) from error
    except UnicodeEncodeError as error:
        raise DatasetError("The question holds characters that are no text.") from error


def _ids(gold: Path) -> list[str]:
    return [str(record.get("id", "")) for _, record in json_lines(gold)]


@contextmanager
def _beside(target: Path, content: bytes) -> Iterator[Path]:
    """Yield a file with the content, in the folder of `target`, and leave nothing there."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    written = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if not target.exists():
            written.chmod(0o644)  # A temporary file is its owner's alone.
        yield written
    finally:
        written.unlink(missing_ok=True)


def _checked(
    written: Path, gold: Path, identifier: str, documents: Mapping[str, Document]
) -> tuple[Finding, ...]:
    try:
        dataset = load_gold(written)
    except DatasetError as error:
        raise DatasetError(str(error).replace(str(written), str(gold))) from error
    named = replace(dataset, source={**dataset.source, "name": gold.name})
    found = [f for f in item_findings(named, documents) if f.item == identifier]
    for finding in found:
        if finding.serious:
            raise DatasetError(
                f"The question was not added to {gold}: {finding.what}; {finding.remedy}."
            )
    return tuple(found)


# --- Commands -----------------------------------------------------------------------------


def command(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="A feedback, or a unique beginning of its id.")
    ],
    gold: Annotated[Path, typer.Option(help="The gold file that gets the question.")],
    corpus: Annotated[
        Path | None, typer.Option(help="Folder of documents; else that of the settings.")
    ] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option(help="An answer, word for word in the evidence. Can be repeated."),
    ] = None,
    evidence: Annotated[
        list[str] | None,
        typer.Option(help="A text that proves it, word for word. Can be repeated."),
    ] = None,
    doc: Annotated[str, typer.Option(help="The beginning of the document's name.")] = "",
    type: Annotated[str, typer.Option(help=f"Such as {', '.join(TYPES)}.")] = "",
    lang: Annotated[str, typer.Option(help="fr, en or nl, where the question's is unclear.")] = "",
    polarity: Annotated[str, typer.Option(help="yes or no, for yes-or-no questions.")] = "",
    unanswerable: Annotated[
        bool, typer.Option("--unanswerable", help="The documents do not answer it.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Ask nothing; fail when something is missing.")
    ] = False,
) -> None:
    """Make a gold question of a feedback, asking for what it does not say.

    Ctrl-C at any question leaves the gold file as it is.
    """
    settings = load_settings(corpus=corpus)
    store = FeedbackStore(settings.data)
    feedback = store.get(identifier)
    taken = _ids(gold) if gold.exists() else []
    if feedback.harvested and feedback.harvested in taken:
        raise DatasetError(
            f"The feedback {feedback.id} is already in {gold}, as {feedback.harvested}."
        )
    documents, skipped = read_corpus(settings.corpus)
    for entry in skipped:
        typer.echo(f"Skipped {entry.path}: {entry.reason}", err=True)
    for sentence in changes(feedback, documents):
        typer.echo(sentence, err=True)
    record = fill(
        draft(feedback, documents, taken),
        answers=answer or (),
        evidence=evidence or (),
        doc=doc,
        type=type,
        lang=lang,
        polarity=polarity,
        unanswerable=unanswerable,
    )
    ask = None if yes else _prompt
    if ask is not None:
        _introduce(feedback)
    record = complete(record, documents, ask, typer.echo, passages(feedback, documents))
    if ask is not None:
        typer.echo(jsonlib.dumps(record, ensure_ascii=False, indent=1))
        if _yes_or_no(ask(f"Add this question to {gold}? (yes, no)", "yes")) is not True:
            typer.echo("Nothing was added.")
            return
    item_id, warnings = append(gold, record, documents)
    for finding in warnings:
        typer.echo(f"Look at {item_id}: {finding.what}; {finding.remedy}.", err=True)
    try:
        store.mark_harvested(feedback.id, item_id)
    except FeedbackError as error:
        raise FeedbackError(
            f"The question was added to {gold} as {item_id}, but the feedback could not be marked "
            f"as harvested: {error}"
        ) from error
    typer.echo(f"Added to {gold} as {item_id}.")


def feedback_command(
    verdict: Annotated[
        Verdict | None, typer.Option(help="Only what was said to be right, or wrong.")
    ] = None,
    pending: Annotated[
        bool, typer.Option("--pending", help="Only what no gold question was made of yet.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """List what people said of answers, oldest first."""
    store = FeedbackStore(load_settings().data)
    entries = store.list(verdict, pending=pending)
    if as_json:
        typer.echo(jsonlib.dumps([asdict(entry) for entry in entries], indent=1))
    else:
        print_feedback(entries, Console(highlight=False))


def print_feedback(entries: Sequence[Feedback], console: Console) -> None:
    """Print one row a feedback, and how many of them no gold question was made of."""
    if not entries:
        console.print("No feedback.")
        return
    table = Table(box=None, pad_edge=False)
    # An id that is cut or folded cannot be given to another command.
    table.add_column("id", no_wrap=True)
    for name in ("given", "verdict", "language", "question", "said", "gold"):
        table.add_column(name, overflow="fold")
    for entry in entries:
        said = [", ".join(reason.replace("_", " ") for reason in entry.reasons), entry.comment]
        said += [f"expected: {entry.expected}"] if entry.expected else []
        row = (
            entry.id,
            entry.created[:10],
            entry.verdict,
            entry.language,
            entry.question,
            "\n".join(filter(None, said)),
            entry.harvested,
        )
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    pending = sum(not entry.harvested for entry in entries)
    console.print(f"\nFeedback: {len(entries)}. Not in a gold file yet: {pending}.")


def _introduce(feedback: Feedback) -> None:
    for earlier in feedback.history:
        typer.echo(f"Before: {earlier}")
    typer.echo(f"Question: {feedback.question}")
    typer.echo(f"Answer, said to be {feedback.verdict}: {feedback.answer['text']}")
    for name, text in (("Comment", feedback.comment), ("Expected", feedback.expected)):
        if text:
            typer.echo(f"{name}: {text}")


def _prompt(question: str, default: str) -> str:
    return str(typer.prompt(question, default=default, show_default=bool(default)))
