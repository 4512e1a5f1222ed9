"""Check a gold file against its corpus: what is wrong in it, what looks odd, what it leaves out.

Errors make a measurement false: a question whose evidence is nowhere can never be
answered right. Warnings are worth a look and may be right as they are. Nothing here
needs a model or an index.
"""

from __future__ import annotations

import json as jsonlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, cast

import numpy as np
import typer
from rich.console import Console

from eval.curation.findings import Coverage, Fact, Finding, Findings, print_findings, quoted
from eval.dataset import GOLD_LANGUAGES, Dataset, Item, load_gold, resolve_document
from eval.matching import contains, fold
from eval.verbatim import locate, nearest, plain_quote
from rag.chunking import Unit, heading_paths, units
from rag.config import load_settings
from rag.conversation import standalone
from rag.documents import read_folder
from rag.errors import DatasetError
from rag.lexical import LexicalIndex, content_words, stems
from rag.questions import asked_for, lacks_form, names
from rag.types import Document, Language, Skipped

__all__ = ["command", "examine", "item_findings", "print_findings", "read_corpus"]

# Below these a figure for a language, a type or abstention rests on too few questions to
# say much; they are conventions, not measurements.
LEAST_SHARE_OF_MEAN = 0.5
LEAST_ITEMS_OF_A_TYPE = 3
LEAST_UNANSWERABLE = 0.10
MOST_UNANSWERABLE = 0.50

# The share of a question's content words, by their weight, that a unit must hold to be
# looked at. On the training part of PIAF (490 documents), within French: of 600 answerable
# questions 0.75 names 28 %, of 192 that only look answerable 11 % (0.6: 49 % and 34 %;
# 0.9: 14 % and 3 %).
PROBE_SHARE = 0.75
# Across languages only words spelt alike can be compared: names, numbers and acronyms, for
# the most part. On 600 answerable and 128 other questions in English and Dutch over the
# same documents, with at least 4 such words, 5 % and 10 % are named: there a hit shows that
# the documents speak of the matter, and is no sign of an answer.
PROBE_WORDS = 4
# Units looked at for a question, the best by BM25.
PROBE_DEPTH = 50

# "a-t-il", "est-ce": inverted, a French verb and its pronoun would be one word of their own,
# which no document has.
_INVERSION = re.compile(r"-(?:t-)?(?:il|elle|on|ils|elles|ce|je|tu|nous|vous)\b", re.IGNORECASE)
_END_MARKS = " ?!.…\u00a0\u202f"


def examine(dataset: Dataset, documents: Mapping[str, Document]) -> Findings:
    """Look for everything there is to find in a gold file over its documents."""
    items = dataset.items
    probe = _Probe(documents)
    probes = [(item, probe.look(item)) for item in items if not item.answerable]
    found = [
        *item_findings(dataset, documents),
        *_perhaps_answered(dataset, probes),
    ]
    order = {item.id: place for place, item in enumerate(items)}
    found.sort(key=lambda finding: order[finding.item])
    tally = Counter(look.manner for _, look in probes)
    return Findings(
        name=_name(dataset),
        items=len(items),
        answerable=sum(item.answerable for item in items),
        languages=_languages(dataset),
        types=dict(Counter(item.type for item in items).most_common()),
        findings=(*found, *_balance(dataset)),
        coverage=tuple(_coverage(items, documents)),
        probed=tally["own"],
        probed_across=tally["across"],
        unprobed=tally["none"],
    )


def item_findings(dataset: Dataset, documents: Mapping[str, Document]) -> list[Finding]:
    """Return what is wrong with single questions, and which are asked twice."""
    found: list[Finding] = []
    resolved = _resolved(dataset.items, documents)
    for item in dataset.items:
        where = _where(dataset, item)
        found += _inconsistent(where, item)
        if item.answerable:
            found += _texts(where, item, resolved[item.doc], documents)
    return [*found, *_duplicates(dataset)]


def read_corpus(folder: Path) -> tuple[dict[str, Document], tuple[Skipped, ...]]:
    """Return the documents below a folder by identifier, and the files that were skipped.

    Raises `DatasetError` when there is no such folder or no document in it.
    """
    if not folder.exists():
        raise DatasetError(f"{folder}: there is no such folder; name one with --corpus.")
    documents: dict[str, Document] = {}
    skipped: list[Skipped] = []
    for entry in read_folder([folder]):
        if isinstance(entry, Skipped):
            skipped.append(entry)
        else:
            documents[entry.doc_id] = entry
    if not documents:
        raise DatasetError(f"{folder}: there is no document that can be read; see --corpus.")
    return documents, tuple(skipped)


# --- Single questions ---------------------------------------------------------------------


def _inconsistent(where: str, item: Item) -> Iterator[Finding]:
    def wrong(what: str, remedy: str) -> Finding:
        return Finding("inconsistent", where, item.id, what, remedy)

    if not item.answerable and item.type != "unanswerable":
        yield wrong(
            f"it is unanswerable, and of the type '{item.type}'",
            "give it the type 'unanswerable', or its answer",
        )
    if item.answerable and item.type == "unanswerable":
        yield wrong("it has the type 'unanswerable', and an answer", "give it another type")
    if item.type == "yesno" and item.polarity is None:
        yield wrong("it is a yes-or-no question without polarity", "add 'polarity': yes or no")
    if item.type == "followup" and not item.history:
        yield wrong("it is a follow-up of nothing", "add the earlier questions as 'history'")


def _resolved(
    items: Sequence[Item], documents: Mapping[str, Document]
) -> dict[str, str | DatasetError]:
    """Return for each document that is named its identifier, or why there is none.

    Once a name: looking for it goes through the whole corpus.
    """
    found: dict[str, str | DatasetError] = {}
    for name in {item.doc for item in items if item.answerable}:
        try:
            found[name] = resolve_document(name, documents)
        except DatasetError as error:
            found[name] = error
    return found


def _texts(
    where: str, item: Item, doc_id: str | DatasetError, documents: Mapping[str, Document]
) -> Iterator[Finding]:
    """Hold document, evidence and answers of an answerable item against the corpus."""
    if isinstance(doc_id, DatasetError):
        holding = [d.doc_id for d in documents.values() if all(_in(d, e) for e in item.evidence)]
        remedy = (
            f"its evidence is in {_several(holding)}, put that into 'doc'"
            if holding
            else "give the beginning of one document's name as 'doc', or add the document"
        )
        yield Finding("document", where, item.id, _phrase(str(doc_id)), remedy)
        return
    document = documents[doc_id]
    for text in item.evidence:
        if not _in(document, text):
            yield _missing_evidence(where, item, text, document, documents)
    alternatives = (*item.answers, *(text for group in item.answer_groups for text in group))
    evidence = {*item.evidence, *(plain_quote(document, text) for text in item.evidence)}
    for text in dict.fromkeys(alternatives):
        if not _in(document, text):
            what = f"the answer {quoted(text)} is not word for word in {document.doc_id}"
            near = nearest(text, document.plain)
            yield Finding("answer_not_verbatim", where, item.id, what, _copy(near))
        elif not any(
            form in proof for form in (text, plain_quote(document, text)) for proof in evidence
        ):
            yield Finding(
                "answer_outside_evidence",
                where,
                item.id,
                f"the answer {quoted(text)} is in {document.doc_id}, but in no evidence",
                "add the sentence that holds it to 'evidence', or take the answer out",
            )


def _missing_evidence(
    where: str, item: Item, text: str, document: Document, documents: Mapping[str, Document]
) -> Finding:
    others = [other.doc_id for other in documents.values() if _in(other, text)]
    what = f"the evidence {quoted(text)} is not word for word in {document.doc_id}"
    if others:
        remedy = f"it is in {_several(others)}: put that into 'doc', or take the evidence out"
        return Finding("evidence_elsewhere", where, item.id, what, remedy)
    remedy = _copy(nearest(text, document.plain))
    return Finding("evidence_nowhere", where, item.id, f"{what}, nor in another document", remedy)


def _copy(near: str) -> str:
    if near:
        return f"copy it from the document, where the nearest is {quoted(near)}"
    return "copy it from the document, where nothing is like it"


def _in(document: Document, text: str) -> bool:
    return text in document.plain or text in document.text


# --- Questions asked twice ----------------------------------------------------------------


def _duplicates(dataset: Dataset) -> Iterator[Finding]:
    """Name every question that was asked before, in the same words or the same ones moved.

    Questions in other words, or in another language, are not recognised.
    """
    same: dict[tuple[object, ...], Item] = {}
    near: dict[tuple[object, ...], Item] = {}
    for item in dataset.items:
        history = tuple(map(_asked, item.history))
        where = _where(dataset, item)
        first = same.setdefault((_asked(item.question), history), item)
        if first is not item:
            yield _duplicate(where, item, first)
            continue
        words = tuple(sorted(stems(_uninverted(item.question, item.lang), _language(item))))
        # "Quand" and "où" are no content words: what is asked for must be the same too.
        key = (item.lang, words, asked_for(item.question), history)
        first = near.setdefault(key, item) if words else item
        if first is not item:
            differing = "" if _agree(item, first) else ", and its answer is another"
            yield Finding(
                "near_duplicate",
                where,
                item.id,
                f"it asks in the words of {_named(first)}, in another order{differing}",
                "leave one out if they ask the same",
            )


def _duplicate(where: str, item: Item, first: Item) -> Finding:
    what = f"it asks the same as {_named(first)}"
    if _agree(item, first):
        return Finding("duplicate", where, item.id, what, "leave one of them out")
    return Finding(
        "contradiction",
        where,
        item.id,
        f"{what}, and its answer is another",
        "keep the right answer, or both as alternatives in one 'answers'",
    )


def _agree(one: Item, other: Item) -> bool:
    """Tell whether what is right for one question can be right for the other."""
    if (one.answerable, one.polarity) != (other.answerable, other.polarity):
        return False
    if not one.answerable:
        return True
    return any(contains(a, b) or contains(b, a) for a in one.answers for b in other.answers)


def _asked(question: str) -> str:
    return fold(question).strip(_END_MARKS)


# --- The whole set ------------------------------------------------------------------------


def _languages(dataset: Dataset) -> dict[str, int]:
    """Count the questions by language; a gold file is expected to ask in all of ours."""
    tally = Counter(item.lang for item in dataset.items)
    expected = GOLD_LANGUAGES if dataset.source.get("kind") == "gold" else ()
    return {name: tally[name] for name in dict.fromkeys((*expected, *sorted(tally)))}


def _balance(dataset: Dataset) -> Iterator[Finding]:
    where, total = _name(dataset), len(dataset.items)
    languages = _languages(dataset)
    mean = total / len(languages)
    for name, number in languages.items():
        if number < LEAST_SHARE_OF_MEAN * mean:
            yield Finding(
                "rare_language",
                where,
                "",
                f"{number} of {total} questions are in '{name}', less than half the mean of "
                f"{mean:.1f} a language",
                f"add questions in '{name}', or do not read figures into so few",
            )
    for name, number in Counter(item.type for item in dataset.items).items():
        if number < LEAST_ITEMS_OF_A_TYPE:
            yield Finding(
                "rare_type",
                where,
                "",
                f"the type '{name}' has {number} of {total} questions, fewer than "
                f"{LEAST_ITEMS_OF_A_TYPE}",
                f"add questions of the type '{name}', or mend its name",
            )
    unanswerable = sum(not item.answerable for item in dataset.items)
    if not LEAST_UNANSWERABLE <= unanswerable / total <= MOST_UNANSWERABLE:
        few = unanswerable / total < LEAST_UNANSWERABLE
        yield Finding(
            "unanswerable_share",
            where,
            "",
            f"{unanswerable} of {total} questions are unanswerable, "
            + (f"under {LEAST_UNANSWERABLE:.0%}" if few else f"over {MOST_UNANSWERABLE:.0%}"),
            "add unanswerable questions: abstaining is measured on them"
            if few
            else "add answerable questions: answering is measured on them",
        )


# --- Unanswerable questions that may have an answer ---------------------------------------


@dataclass(frozen=True, slots=True)
class _Look:
    """How a question was looked up, and the unit with the largest share of its words.

    `alike` when that unit is in another language, so that only words spelt alike count.
    """

    manner: Literal["own", "across", "none"]
    share: float = 0.0
    alike: bool = False
    doc_id: str = ""
    text: str = ""


class _Probe:
    """Look for units that hold nearly all the content words of a question.

    A unit is searched with its title and headings. A unit without the form of what is
    asked for (a date, a number, a sum, a name, an address) is passed over. This is a probe
    by words: it sees no paraphrase, and it does not see what a sentence says of its words.
    """

    def __init__(self, documents: Mapping[str, Document]) -> None:
        self._units: list[tuple[Document, Unit]] = []
        self._texts: list[str] = []
        self._words: set[str] = set()
        for document in documents.values():
            paths = heading_paths(document)
            for unit in units(document):
                text = "\n".join((document.title, *paths[unit.block], _text(document, unit)))
                self._units.append((document, unit))
                self._texts.append(text)
                self._words.update(content_words(text, document.language))
        languages: list[Language] = [document.language for document, _ in self._units]
        self._languages = set(languages)
        self._index = LexicalIndex.build(self._texts, languages)

    def look(self, item: Item) -> _Look:
        """Return the unit with the largest share of the question's words, if it has enough."""
        language = _language(item)
        question = _uninverted(standalone(item.question, item.history).question, language)
        shared = self._words.intersection(content_words(question, language))
        across = len(shared) >= PROBE_WORDS
        own = language in self._languages
        if not own and not across:
            return _Look("none")
        best = _Look("own" if own else "across")
        scores = self._index.scores(question, language)
        for place in np.argsort(-scores, kind="stable")[:PROBE_DEPTH]:
            document, unit = self._units[place]
            text = _text(document, unit)
            alike = document.language != language
            if alike and not across:
                continue
            if scores[place] <= 0 or lacks_form(question, text):
                continue
            share = self._index.coverage(question, language, self._texts[place], document.language)
            if share > best.share:
                best = _Look(best.manner, share, alike, document.doc_id, text)
        return best


def _perhaps_answered(dataset: Dataset, probes: Iterable[tuple[Item, _Look]]) -> Iterator[Finding]:
    for item, look in probes:
        if look.share < PROBE_SHARE:
            continue
        alike = ", as far as words spelt alike in both languages tell"
        yield Finding(
            "perhaps_answered",
            _where(dataset, item),
            item.id,
            f"{look.doc_id} holds {look.share:.0%} of its words{alike * look.alike}"
            f": {quoted(look.text)}",
            "look whether that answers it; this is a probe by words, and no proof",
        )


# --- Facts that no question asks for ------------------------------------------------------


def _coverage(items: Sequence[Item], documents: Mapping[str, Document]) -> Iterator[Coverage]:
    """Yield for every document its facts, and those that no evidence overlaps.

    Evidence is taken where it first stands in its document.
    """
    proven: dict[str, list[tuple[int, int]]] = {}
    resolved = _resolved(items, documents)
    for item in items:
        doc_id = resolved.get(item.doc)
        if not isinstance(doc_id, str):
            continue
        for text in item.evidence:
            place = locate(documents[doc_id], text)
            if place is not None:
                proven.setdefault(doc_id, []).append(place)
    for document in documents.values():
        places = proven.get(document.doc_id, [])
        facts = [unit for unit in units(document) if _is_fact(document, unit)]
        uncovered = [
            Fact(*document.offsets.to_canonical(unit.start, unit.end), _text(document, unit))
            for unit in facts
            if not any(low < unit.end and unit.start < high for low, high in places)
        ]
        yield Coverage(document.doc_id, len(facts), tuple(uncovered))


def _is_fact(document: Document, unit: Unit) -> bool:
    """Tell whether a unit is a row of a card or properties, or names or counts something.

    A name that opens a sentence cannot be told from any other word, unless it is an acronym.
    """
    return unit.kind in ("fact", "property") or bool(names(_text(document, unit)))


# --- Output -------------------------------------------------------------------------------


def command(
    gold: Annotated[Path, typer.Argument(help="Questions, one JSON object a line.")],
    corpus: Annotated[
        Path | None, typer.Option(help="Folder of documents; else that of the settings.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write all findings to this file.")
    ] = None,
) -> None:
    """Check a gold file against its documents: what is wrong, odd or left out.

    The exit code is 1 when there is an error. Warnings are worth a look, and no more.
    """
    dataset = load_gold(gold)
    documents, skipped = read_corpus(corpus or load_settings().corpus)
    for entry in skipped:
        typer.echo(f"Skipped {entry.path}: {entry.reason}", err=True)
    findings = examine(dataset, documents)
    if json is not None:
        try:
            json.write_text(
                jsonlib.dumps(findings.to_dict(), ensure_ascii=False, indent=1) + "\n",
                encoding="utf-8",
                errors="backslashreplace",
            )
        except OSError as error:
            raise DatasetError(f"{json}: cannot be written ({error.strerror}).") from error
    print_findings(findings, Console(highlight=False))
    if findings.serious:
        raise typer.Exit(1)


def _name(dataset: Dataset) -> str:
    return str(dataset.source.get("name", "the questions"))


def _where(dataset: Dataset, item: Item) -> str:
    return f"{_name(dataset)}, line {item.line}" if item.line else _name(dataset)


def _named(item: Item) -> str:
    return f"{item.id} on line {item.line}" if item.line else item.id


def _language(item: Item) -> Language:
    return cast("Language", item.lang) if item.lang in GOLD_LANGUAGES else "unknown"


def _uninverted(question: str, language: str) -> str:
    return _INVERSION.sub(" ", question) if language == "fr" else question


def _text(document: Document, unit: Unit) -> str:
    return document.plain[unit.start : unit.end]


def _several(doc_ids: Sequence[str]) -> str:
    more = f" and {len(doc_ids) - 3} others" if len(doc_ids) > 3 else ""
    return ", ".join(doc_ids[:3]) + more


def _phrase(sentence: str) -> str:
    """Return a sentence as it continues another one."""
    return sentence[:1].lower() + sentence[1:].rstrip(".")
