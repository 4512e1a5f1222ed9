"""From feedback to a line of gold: what is pre-filled, asked, refused and written."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from filelock import FileLock
from rich.console import Console
from typer.testing import CliRunner

from eval.curation import harvest
from eval.curation.completing import complete
from eval.curation.drafts import changes, draft, fill, missing, passages
from eval.curation.harvest import append
from eval.dataset import load_gold
from rag.documents import parse
from rag.errors import CitadelleError, DatasetError, FeedbackError
from rag.feedback import Feedback, FeedbackStore
from rag.types import Answer, Citation, Document, Passage

BUREAU = (
    "# Le bureau\n\nLe **bureau** siège à Bruxelles. Il existe depuis 2022.\n\n"
    "Ses missions sont :\n- la défense ;\n- la paix.\n"
)
PROJET = "# Le projet\n\nLe projet avec le Niger a commencé en 2021.\n"
SEAT, SINCE = "Le bureau siège à Bruxelles.", "Il existe depuis 2022."
NIGER = "Le projet avec le Niger a commencé en 2021."


def corpus(**texts: str) -> dict[str, Document]:
    texts = {"bureau": BUREAU, "projet": PROJET} | texts
    return {f"{n}.md": parse(t, f"{n}.md", format="markdown") for n, t in texts.items()}


DOCUMENTS = corpus()


def cited(doc_id: str, quote: str) -> Citation:
    document = DOCUMENTS[doc_id]
    start = document.text.index(quote)
    return Citation(
        "1", doc_id, document.content_hash, start, start + len(quote), quote, document.title, ()
    )


def answer(question: str, *citations: Citation, short: str = "", abstained: bool = False) -> Answer:
    whole = DOCUMENTS["bureau.md"].text
    read = whole[whole.index("Le **bureau**") : whole.index("\n\nSes")]
    start = whole.index(read)
    return Answer(
        question=question,
        language="fr",
        text="Je n'ai pas trouvé." if abstained else "Selon le document [1]",
        short_answer=short,
        citations=citations,
        passages=(Passage("bureau.md", start, start + len(read), read, 0.5, not abstained),),
        abstained=abstained,
        confidence=0.5,
        mode="abstention" if abstained else "extractive",
    )


def feedback(given: Answer, verdict: Any, tmp_path: Path, **more: Any) -> Feedback:
    store = FeedbackStore(tmp_path / "data")
    return store.get(store.add(given, verdict, **more))


SEATED = answer(
    "Où siège le bureau ?",
    cited("bureau.md", "Le **bureau** siège à Bruxelles."),
    short="Bruxelles",
)
RECORD = {
    "id": "u001",
    "lang": "fr",
    "question": "Où siège le bureau ?",
    "answers": ["Bruxelles"],
    "evidence": [SEAT],
    "doc": "bureau.md",
    "type": "fact",
    "answerable": True,
}


class Typist:
    """Type what was prepared for each prompt, by the word it contains, in order."""

    def __init__(self, *typed: tuple[str, str]) -> None:
        self.typed = list(typed)
        self.said: list[str] = []

    def ask(self, prompt: str, default: str) -> str:
        expected, text = self.typed.pop(0)
        assert expected in prompt
        return text or default


# --- Pre-filling --------------------------------------------------------------------------


def test_a_right_answer_gives_its_short_answer_quote_and_document(tmp_path: Path) -> None:
    record = draft(feedback(SEATED, "right", tmp_path), DOCUMENTS)
    assert record == RECORD | {"type": ""}
    assert missing(record) == ("type",)


def test_a_right_answer_without_a_short_one_leaves_the_answers_to_ask(tmp_path: Path) -> None:
    given = answer(
        "Que dit-on ?", cited("projet.md", NIGER), cited("bureau.md", SINCE), short="jamais"
    )
    record = draft(feedback(given, "right", tmp_path), DOCUMENTS)
    # A question has one document: the first that was quoted.
    assert (record["doc"], record["evidence"], record["answers"]) == ("projet.md", [NIGER], [])
    assert missing(record) == ("type", "answers")
    # The short answer decides, when it stands in another.
    record = draft(feedback(replace(given, short_answer="2022"), "right", tmp_path), DOCUMENTS)
    assert (record["doc"], record["evidence"], record["answers"]) == (
        "bureau.md",
        [SINCE],
        ["2022"],
    )


def test_an_abstention_that_was_right_is_a_whole_question(tmp_path: Path) -> None:
    given = answer("Quel est le prix ?", abstained=True)
    record = draft(feedback(given, "right", tmp_path), DOCUMENTS)
    assert (record["answerable"], record["type"]) == (False, "unanswerable")
    assert missing(record) == ()
    assert missing(record | {"lang": ""}) == ("lang",)
    assert complete(record, DOCUMENTS, None) == record


def test_a_wrong_answer_gives_nothing_but_what_was_expected(tmp_path: Path) -> None:
    record = draft(feedback(SEATED, "wrong", tmp_path), DOCUMENTS)
    assert record["answerable"] is None
    assert (record["answers"], record["evidence"], record["doc"]) == ([], [], "")
    assert missing(record) == ("answerable", "type", "evidence", "doc", "answers")
    # An abstention can only be wrong because the documents answer.
    given = answer("Où ?", abstained=True)
    assert draft(feedback(given, "wrong", tmp_path), DOCUMENTS)["answerable"] is True
    # It stands in one sentence only, which proves it.
    record = draft(feedback(SEATED, "wrong", tmp_path, expected="2021"), DOCUMENTS)
    assert (record["answers"], record["evidence"], record["doc"]) == (
        ["2021"],
        [NIGER],
        "projet.md",
    )
    # "la" stands in several, "Namur" in none.
    for expected in ("la", "Namur"):
        record = draft(feedback(SEATED, "wrong", tmp_path, expected=expected), DOCUMENTS)
        assert (record["answers"], record["evidence"], record["doc"]) == ([expected], [], "")


def test_history_is_kept_where_the_question_leans_on_it(tmp_path: Path) -> None:
    before = ["Qu'est-ce que le bureau ?"]
    given = replace(SEATED, question="et il siège où ?")
    record = draft(feedback(given, "right", tmp_path, history=before), DOCUMENTS)
    assert record["history"] == before
    assert complete(record, DOCUMENTS, None)["type"] == "followup"
    alone = replace(SEATED, question="Où siège le bureau de l'OTAN ?")
    assert "history" not in draft(feedback(alone, "right", tmp_path, history=before), DOCUMENTS)


def test_a_language_that_is_not_clear_is_asked_for(tmp_path: Path) -> None:
    record = draft(feedback(replace(SEATED, language="unknown"), "right", tmp_path), DOCUMENTS)
    assert missing(record) == ("lang", "type")


@pytest.mark.parametrize(
    ("taken", "following"),
    [((), "u001"), (("u001", "g200", "u7"), "u002"), (("u009", "u999"), "u1000")],
)
def test_the_next_id(tmp_path: Path, taken: tuple[str, ...], following: str) -> None:
    assert draft(feedback(SEATED, "right", tmp_path), DOCUMENTS, taken)["id"] == following


def test_a_document_that_changed_since_is_named(tmp_path: Path) -> None:
    entry = feedback(SEATED, "right", tmp_path)
    assert changes(entry, DOCUMENTS) == ()
    moved = corpus(bureau=BUREAU.replace("Le **", "Voici. Le **"))
    assert changes(entry, moved) == ("bureau.md has changed since; what was quoted still stands.",)
    assert draft(entry, moved)["evidence"] == [SEAT]
    gone = corpus(bureau=BUREAU.replace("Bruxelles", "Namur"))
    assert changes(entry, gone) == (
        "bureau.md has changed since; it no longer says “Le **bureau** siège à Bruxelles.”.",
    )
    assert (draft(entry, gone)["evidence"], draft(entry, gone)["doc"]) == ([], "")
    assert passages(entry, gone) == ()
    without = {"projet.md": DOCUMENTS["projet.md"]}
    assert changes(entry, without) == ("bureau.md is no longer among the documents.",)
    assert draft(entry, without)["answers"] == []
    # An abstention quotes nothing, but it has read something.
    silent = feedback(answer("Qui ?", abstained=True), "wrong", tmp_path)
    assert changes(silent, gone) == ("bureau.md has changed since; a passage of it is gone.",)


def test_evidence_can_be_chosen_from_quotes_then_from_what_was_read(tmp_path: Path) -> None:
    given = answer("Quand ?", cited("projet.md", NIGER))
    assert passages(feedback(given, "wrong", tmp_path), DOCUMENTS) == (
        ("projet.md", NIGER),
        ("bureau.md", SEAT),
        ("bureau.md", SINCE),
    )


# --- Options ------------------------------------------------------------------------------


def test_what_is_given_takes_the_place_of_what_was_pre_filled() -> None:
    record = fill(RECORD, answers=["2022"], evidence=[SINCE], type="date", lang="nl")
    assert record == RECORD | {
        "answers": ["2022"],
        "evidence": [SINCE],
        "doc": "",
        "type": "date",
        "lang": "nl",
    }
    assert complete(record, DOCUMENTS, None)["doc"] == "bureau.md"
    assert fill(RECORD | {"answerable": None}, answers=["2022"])["answerable"] is True
    assert fill(RECORD) == RECORD


def test_unanswerable_empties_the_rest_and_bears_no_answer() -> None:
    record = fill(RECORD | {"polarity": "yes"}, unanswerable=True)
    assert record == RECORD | {
        "answers": [],
        "evidence": [],
        "doc": "",
        "type": "unanswerable",
        "answerable": False,
    }
    with pytest.raises(DatasetError, match="leave these options out"):
        fill(RECORD, unanswerable=True, answers=["x"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answers": [], "evidence": []}, r"missing \(evidence, answers\); give --evidence, --an"),
        ({"answerable": None}, r"missing \(answerable\); give --answer or --unanswerable"),
        ({"type": "yesno"}, r"missing \(polarity\); give --polarity"),
        ({"type": "yesno", "polarity": "maybe"}, "'maybe' is neither 'yes' nor 'no'"),
        ({"type": "unanswerable"}, "questions without an answer"),
        ({"type": "followup"}, "lean on earlier ones"),
        ({"lang": "de"}, "'de' is none of fr, en, nl"),
        ({"doc": "carte"}, "named or begins with 'carte'"),
        ({"doc": "projet"}, "is not word for word in projet.md, where nothing is like it"),
        ({"evidence": ["le bureau siege a Bruxelles"]}, "nearest is “Le bureau siège à Bruxelles”"),
        ({"evidence": [SEAT, NIGER], "doc": ""}, r"missing \(doc\)"),
        ({"answers": ["Bruxeles"]}, "“Bruxeles” is not word for word .* nearest is “Bruxelles”"),
        ({"answers": ["2022"]}, "“2022” is not word for word in the evidence, where nothing"),
    ],
)
def test_without_asking_what_is_missing_or_wrong_is_said(
    change: dict[str, Any], words: str
) -> None:
    with pytest.raises(DatasetError, match=words) as raised:
        complete(RECORD | change, DOCUMENTS, None)
    assert "\n" not in str(raised.value)


def test_the_type_is_suggested_and_the_document_follows_from_the_evidence() -> None:
    record = complete(RECORD | {"type": "", "doc": ""}, DOCUMENTS, None)
    assert (record["type"], record["doc"]) == ("fact", "bureau.md")
    for question, kind in (
        ("Quand est-il né ?", "date"),
        ("C'est quoi le bureau ?", "definition"),
        ("Quelles sont ses missions ?", "list"),
        ("Que signifie le sigle ONU ?", "acronym"),
    ):
        record = complete(RECORD | {"type": "", "question": question}, DOCUMENTS, None)
        assert record["type"] == kind


# --- Asking -------------------------------------------------------------------------------


def test_each_field_is_asked_for_until_it_is_right(tmp_path: Path) -> None:
    entry = feedback(replace(SEATED, language="unknown"), "wrong", tmp_path)
    typist = Typist(
        ("Language", "de"),
        ("Language", "fr"),
        ("Do the documents answer", "peut-être"),
        ("Do the documents answer", "oui"),
        ("Type", ""),
        ("Evidence", "Il existe depuis 2020."),
        ("Evidence", "2 9"),
        ("Evidence", "2"),
        ("Answer", "2020"),
        ("Answer", ""),
        ("Answer", "2022"),
        ("Another wording", "depuis 2022"),
        ("Another wording", ""),
    )
    choices = passages(entry, DOCUMENTS)
    record = complete(draft(entry, DOCUMENTS), DOCUMENTS, typist.ask, typist.said.append, choices)
    assert typist.typed == []
    assert record == RECORD | {"answers": ["2022", "depuis 2022"], "evidence": [SINCE]}
    said = [line for line in typist.said if not line[0].isdigit()]
    assert said == [
        "The language 'de' is none of fr, en, nl.",
        "The evidence “Il existe depuis 2020.” is not word for word in any document, "
        "where the nearest is “Il existe depuis 2022.”.",
        # There are only two sentences to choose from.
        "The evidence “2 9” is not word for word in any document, where nothing is like it.",
        "The answer “2020” is not word for word in the evidence, where the nearest is “2022”.",
        "There is no answer.",
    ]
    assert "1. Le bureau siège à Bruxelles.  (bureau.md)" in typist.said


def test_a_wrong_answer_may_turn_out_to_have_none(tmp_path: Path) -> None:
    entry = feedback(SEATED, "wrong", tmp_path)
    typist = Typist(("Do the documents answer", "non"))
    record = complete(draft(entry, DOCUMENTS), DOCUMENTS, typist.ask)
    assert (record["answerable"], record["type"], record["answers"]) == (False, "unanswerable", [])


def test_of_a_list_every_part_must_be_said() -> None:
    typist = Typist(
        ("Type", "list"),
        ("Evidence", "1, 2"),
        ("Answer", "la défense"),
        ("Another part", "la paix"),
        ("Another part", ""),
    )
    choices = [("bureau.md", "la défense ;"), ("bureau.md", "la paix.")]
    start = RECORD | {"type": "", "evidence": [], "answers": [], "doc": ""}
    record = complete(start, DOCUMENTS, typist.ask, typist.said.append, choices)
    assert record["evidence"] == ["la défense ;", "la paix."]
    assert record["answer_groups"] == [["la défense"], ["la paix"]]


def test_a_yes_or_no_question_needs_its_polarity() -> None:
    typist = Typist(("yes or no", "?"), ("yes or no", "nee"))
    assert complete(RECORD | {"type": "yesno"}, DOCUMENTS, typist.ask)["polarity"] == "no"


def test_the_document_is_asked_for_where_several_hold_the_evidence() -> None:
    documents = corpus(copie=BUREAU)
    typist = Typist(("Document", "autre"), ("Document", "projet"), ("Document", "copie"))
    record = complete(RECORD | {"doc": ""}, documents, typist.ask, typist.said.append)
    assert record["doc"] == "copie"
    assert typist.said == [
        "The evidence is in bureau.md, copie.md.",
        "No document of the corpus is named or begins with 'autre'.",
        "The evidence is in bureau.md, copie.md.",
        "The evidence is not in projet.md; give the document where it is.",
        "The evidence is in bureau.md, copie.md.",
    ]


def test_evidence_of_two_documents_is_refused() -> None:
    typist = Typist(("Evidence", "1 2"), ("Evidence", "1"))
    choices = [("bureau.md", SEAT), ("projet.md", NIGER)]
    start = RECORD | {"evidence": [], "doc": ""}
    record = complete(start, DOCUMENTS, typist.ask, typist.said.append, choices)
    assert record == RECORD
    assert any("in several documents" in line for line in typist.said)


# --- Writing ------------------------------------------------------------------------------


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    """A gold file of one question, written by hand: its line is not ended."""
    path = tmp_path / "gold.jsonl"
    other = RECORD | {"id": "g001", "question": "Depuis quand ?"}
    other |= {"answers": ["2022"], "evidence": [SINCE]}
    path.write_text("\ufeff" + json.dumps(other), encoding="utf-8")
    return path


def left(gold: Path) -> list[str]:
    """Return what else is in the folder, but for the lock."""
    names = (path.name for path in gold.parent.iterdir() if path.is_file())
    return sorted(name for name in names if name not in (gold.name, f".{gold.name}.lock"))


def test_a_question_becomes_the_last_line(gold: Path) -> None:
    before = gold.read_bytes()
    gold.chmod(0o640)
    identifier, warnings = append(gold, RECORD, DOCUMENTS)
    assert (identifier, warnings) == ("u001", ())
    line = json.dumps(RECORD, ensure_ascii=False).encode()
    assert gold.read_bytes() == before + b"\n" + line + b"\n"
    assert gold.stat().st_mode & 0o777 == 0o640
    assert left(gold) == []
    # The id is taken now, and another is given; the last line is ended.
    again = RECORD | {"question": "Où est le siège ?"}
    assert append(gold, again, DOCUMENTS)[0] == "u002"
    assert [item.id for item in load_gold(gold).items] == ["g001", "u001", "u002"]


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    gold = tmp_path / "new.jsonl"
    assert append(gold, RECORD, DOCUMENTS)[0] == "u001"
    assert len(load_gold(gold).items) == 1
    assert gold.stat().st_mode & 0o777 == 0o644
    with pytest.raises(DatasetError, match="folder does not exist"):
        append(tmp_path / "none" / "g.jsonl", RECORD, DOCUMENTS)
    with pytest.raises(DatasetError, match="cannot be written"):
        append(tmp_path, RECORD, DOCUMENTS)


def test_a_link_is_followed(gold: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(gold)
    append(link, RECORD, DOCUMENTS)
    assert link.is_symlink()
    assert len(load_gold(gold).items) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lang": "de"}, r"gold\.jsonl, line 2: the language 'de'"),
        ({"answers": ["Namur"]}, r"not added to .*gold\.jsonl: the answer “Namur” is not word"),
        ({"question": "depuis quand"}, "it asks the same as g001 on line 1"),
        ({"question": "Où \ud800 ?"}, "characters that are no text"),
    ],
)
def test_a_question_that_is_not_right_leaves_the_file_as_it_was(
    gold: Path, change: dict[str, Any], words: str
) -> None:
    before = gold.read_bytes()
    with pytest.raises(DatasetError, match=words) as raised:
        append(gold, RECORD | change, DOCUMENTS)
    assert ".gold.jsonl-" not in str(raised.value)
    assert gold.read_bytes() == before
    assert left(gold) == []


def test_a_gold_file_that_is_damaged_is_named_by_its_line(gold: Path) -> None:
    gold.write_text(gold.read_text(encoding="utf-8") + "\n{broken\n", encoding="utf-8")
    before = gold.read_bytes()
    with pytest.raises(DatasetError, match=r"gold\.jsonl, line 2: not valid JSON"):
        append(gold, RECORD, DOCUMENTS)
    assert gold.read_bytes() == before


def test_a_near_duplicate_is_worth_a_look(gold: Path) -> None:
    append(gold, RECORD, DOCUMENTS)
    _, warnings = append(gold, RECORD | {"question": "Le bureau siège où ?"}, DOCUMENTS)
    assert [warning.kind for warning in warnings] == ["near_duplicate"]


def test_several_may_harvest_at_once(gold: Path) -> None:
    def add(number: int) -> str:
        return append(gold, RECORD | {"question": f"Où est le numéro {number} ?"}, DOCUMENTS)[0]

    with ThreadPoolExecutor(4) as threads:
        given = list(threads.map(add, range(8)))
    assert sorted(given) == [f"u{number:03d}" for number in range(1, 9)]
    assert len(load_gold(gold).items) == 9


def test_another_writer_is_waited_for_then_named(
    gold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harvest, "_PATIENCE", 0.05)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with FileLock(gold.with_name(".gold.jsonl.lock")):
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    try:
        with pytest.raises(DatasetError, match="Another process is writing"):
            append(gold, RECORD, DOCUMENTS)
    finally:
        done.set()
        thread.join()


# --- Commands -----------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, gold: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the corpus and the settings' data in it, as the current one."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, text in (("bureau.md", BUREAU), ("projet.md", PROJET)):
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


Run = Callable[..., Any]


@pytest.fixture
def run(place: Path) -> Run:
    app = typer.Typer()
    app.command("harvest")(harvest.command)
    app.command("feedback")(harvest.feedback_command)

    def invoke(*arguments: str, typed: str = "") -> Any:
        return CliRunner().invoke(app, list(arguments), input=typed)

    return invoke


def test_a_feedback_is_harvested_without_a_question(place: Path, run: Run) -> None:
    entry = feedback(SEATED, "right", place)
    result = run("harvest", entry.id[:6], "--gold", "gold.jsonl", "--yes")
    assert result.exit_code == 0, result.output
    assert "Added to gold.jsonl as u001." in result.output
    assert load_gold(Path("gold.jsonl")).items[1].answers == ("Bruxelles",)
    store = FeedbackStore(place / "data")
    assert store.get(entry.id).harvested == "u001"
    # Not twice into the same file, but again once its line was taken out.
    result = run("harvest", entry.id, "--gold", "gold.jsonl", "--yes")
    assert isinstance(result.exception, DatasetError)
    assert str(result.exception).endswith("is already in gold.jsonl, as u001.")
    Path("gold.jsonl").write_bytes(Path("gold.jsonl").read_bytes().split(b"\n")[0])
    assert run("harvest", entry.id, "--gold", "gold.jsonl", "--yes").exit_code == 0


def test_options_say_the_rest(place: Path, run: Run) -> None:
    entry = feedback(answer("Quand ?", abstained=True), "wrong", place)
    options = ["--answer", "2021", "--evidence", NIGER, "--type", "date", "--yes"]
    result = run("harvest", entry.id, "--gold", "new.jsonl", *options)
    assert result.exit_code == 0, result.output
    (item,) = load_gold(Path("new.jsonl")).items
    assert (item.doc, item.type, item.answers) == ("projet.md", "date", ("2021",))


def test_the_terminal_asks_shows_and_confirms(place: Path, run: Run) -> None:
    entry = feedback(
        answer("Il est où ?", abstained=True), "wrong", place, comment="Mais si.", history=["Qui ?"]
    )
    # Type, evidence, answer, no other wording, and yes by default.
    typed = "fact\n1\nBruxelles\n\n\n"
    result = run("harvest", entry.id, "--gold", "gold.jsonl", typed=typed)
    assert result.exit_code == 0, result.output
    for words in ("Before: Qui ?", "Comment: Mais si.", f"1. {SEAT}  (bureau.md)", '"answers"'):
        assert words in result.output
    item = load_gold(Path("gold.jsonl")).items[1]
    assert (item.answers, item.evidence, item.history) == (("Bruxelles",), (SEAT,), ("Qui ?",))


def test_no_at_the_end_adds_nothing(place: Path, run: Run) -> None:
    entry = feedback(SEATED, "right", place)
    before = Path("gold.jsonl").read_bytes()
    result = run("harvest", entry.id, "--gold", "gold.jsonl", typed="fact\nno\n")
    assert "Nothing was added." in result.output
    assert Path("gold.jsonl").read_bytes() == before
    assert FeedbackStore(place / "data").get(entry.id).harvested == ""


@pytest.mark.parametrize("prompts", range(5))
def test_stopping_at_any_prompt_leaves_the_file_as_it_was(
    place: Path, run: Run, monkeypatch: pytest.MonkeyPatch, prompts: int
) -> None:
    entry = feedback(answer("Il est où ?", abstained=True), "wrong", place)
    before = Path("gold.jsonl").read_bytes()
    typed = iter(["fact", "1", "Bruxelles", "", "yes"][:prompts])

    def prompt(question: str, **options: Any) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(typer, "prompt", prompt)
    result = run("harvest", entry.id, "--gold", "gold.jsonl")
    assert result.exit_code != 0
    assert Path("gold.jsonl").read_bytes() == before
    assert sorted(path.name for path in place.iterdir()) == ["corpus", "data", "gold.jsonl"]
    assert FeedbackStore(place / "data").get(entry.id).harvested == ""


def test_a_change_of_the_document_is_said(place: Path, run: Run) -> None:
    entry = feedback(SEATED, "right", place)
    (place / "corpus" / "bureau.md").write_text(BUREAU.replace("Bruxelles", "Namur"))
    result = run("harvest", entry.id, "--gold", "gold.jsonl", "--yes")
    assert "bureau.md has changed since; it no longer says" in result.stderr
    assert isinstance(result.exception, DatasetError)
    assert "Fields are missing (evidence, doc, answers)" in str(result.exception)


def test_a_feedback_that_cannot_be_marked_says_where_the_question_is(
    place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = feedback(SEATED, "right", place)

    def refuse(store: FeedbackStore, identifier: str, item_id: str) -> Feedback:
        raise FeedbackError("Another process is writing.")

    monkeypatch.setattr(FeedbackStore, "mark_harvested", refuse)
    result = run("harvest", entry.id, "--gold", "gold.jsonl", "--yes")
    assert "was added to gold.jsonl as u001, but the feedback could not" in str(result.exception)
    assert isinstance(result.exception, CitadelleError)


def test_an_unknown_feedback_is_named(run: Run) -> None:
    result = run("harvest", "abc", "--gold", "gold.jsonl")
    assert "There is no feedback 'abc'" in str(result.exception)
    assert isinstance(result.exception, FeedbackError)


def test_feedback_is_listed(place: Path, run: Run) -> None:
    assert run("feedback").output == "No feedback.\n"
    first = feedback(SEATED, "right", place)
    second = feedback(
        replace(SEATED, question="Et [bold]là ?"),
        "wrong",
        place,
        reasons=("not_true",),
        comment="Non.",
        expected="Namur",
    )
    FeedbackStore(place / "data").mark_harvested(first.id, "u001")
    output = run("feedback").output
    for words in (first.id, second.id, "Et [bold]là ?", "Feedback: 2. Not in a gold file yet: 1."):
        assert words in output
    assert first.id not in run("feedback", "--pending").output
    assert second.id not in run("feedback", "--verdict", "right").output
    records = json.loads(run("feedback", "--json").output)
    assert [record["id"] for record in records] == [first.id, second.id]
    assert records[1]["reasons"] == ["not_true"]


def test_the_table_says_what_was_said(tmp_path: Path) -> None:
    entry = feedback(
        SEATED, "wrong", tmp_path, reasons=("not_true",), comment="Non.", expected="Namur"
    )
    out = io.StringIO()
    harvest.print_feedback([entry], Console(file=out, width=160))
    for words in ("not true", "Non.", "expected: Namur", entry.created[:10]):
        assert words in out.getvalue()
