from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eval.dataset import Context
from eval.squad import load_squad, write_corpus
from rag.errors import DatasetError


def write(folder: Path, name: str, *records: object) -> Path:
    path = folder / name
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n")
    return path


def question(identifier: str, wording: str, text: str, start: int, **more: Any) -> dict[str, Any]:
    answers = [{"text": text, "answer_start": start}]
    return {"id": identifier, "question": wording, "answers": answers, **more}


def squad(*articles: tuple[str | None, list[tuple[str, list[dict[str, Any]]]]]) -> dict[str, Any]:
    return {
        "version": "2.0",
        "data": [
            {
                "title": title,
                "paragraphs": [{"context": text, "qas": qas} for text, qas in paragraphs],
            }
            for title, paragraphs in articles
        ],
    }


def test_squad_items_and_contexts(tmp_path: Path) -> None:
    context = "Le mètre mesure 100 centimètres."
    content = squad(
        (
            "Unité_de mesure",
            [
                (
                    context,
                    [
                        question("q1", "Combien ?", "100 centimètres", 16),
                        question("q2", "How many?", "centimètre", 20, lang="en"),
                        {
                            "id": "q3",
                            "question": "Qui ?",
                            "lang": "nl",
                            "is_impossible": True,
                            "answers": [],
                            "plausible_answers": [{"text": "Le mètre", "answer_start": 0}],
                        },
                    ],
                )
            ],
        )
    )
    dataset = load_squad(write(tmp_path, "s.json", content))
    first, second, third = dataset.items
    assert [item.lang for item in dataset.items] == ["fr", "en", "nl"]
    assert first.evidence == ("100 centimètres",)
    # The annotation cuts the last word: the evidence, and a further answer, are whole.
    assert second.answers == ("centimètre", "centimètres")
    assert second.evidence == ("centimètres",)
    assert (third.answerable, third.answers, third.doc) == (False, (), "")
    (document,) = dataset.contexts
    assert document.text == context
    assert first.doc == document.doc_id
    assert document.doc_id.endswith("/Unité de mesure.txt")


def test_squad_takes_the_shortest_of_several_answers_as_evidence(tmp_path: Path) -> None:
    entry = question("q", "Où ?", "à Paris, France", 3)
    entry["answers"].append({"text": "Paris", "answer_start": 99})  # a wrong place is found again
    dataset = load_squad(
        write(tmp_path, "s.json", squad(("T", [("Né à Paris, France.", [entry])])))
    )
    assert dataset.items[0].answers == ("à Paris, France", "Paris")
    assert dataset.items[0].evidence == ("Paris",)


def test_a_title_that_gives_an_answer_or_a_question_away_is_not_used(tmp_path: Path) -> None:
    content = squad(
        ("Le film 2012", [("Sorti en 2012.", [question("a", "Quand ?", "2012", 9)])]),
        ("Qui est là ?", [("C'est Anne.", [question("b", "qui est là ?", "Anne", 6)])]),
        (None, [("Sans titre.", [])]),
        ("A/B: c?", [("Permis.", [])]),
        (" ../.. ", [("Rien.", [])]),
        ("<i>Vizzavona</i> (navire)", [("Un navire.", [])]),
    )
    names = [
        c.doc_id.split("/")[1] for c in load_squad(write(tmp_path, "s.json", content)).contexts
    ]
    assert names == [
        "Passage.txt",
        "Passage.txt",
        "Passage.txt",
        "A B c.txt",
        "Passage.txt",
        "Vizzavona (navire).txt",
    ]


def test_a_title_is_only_withheld_where_it_gives_something_away(tmp_path: Path) -> None:
    telling = ("Sorti en 2012.", [question("a", "Quand ?", "2012", 9)])
    other = ("Tourné à Paris.", [question("b", "Où ?", "Paris", 9)])
    dataset = load_squad(write(tmp_path, "s.json", squad(("Le film 2012", [telling, other]))))
    names = [context.doc_id.split("/")[1] for context in dataset.contexts]
    assert names == ["Passage.txt", "Le film 2012.txt"]


def test_equal_contexts_are_one_document(tmp_path: Path) -> None:
    content = squad(
        ("T", [("Un texte.", [question("a", "1 ?", "texte", 3)])]),
        ("U", [("Un texte.", [question("b", "2 ?", "texte", 3)])]),
    )
    dataset = load_squad(write(tmp_path, "s.json", content))
    assert len(dataset.contexts) == 1
    assert dataset.items[0].doc == dataset.items[1].doc


def test_language_of_a_file_and_numbers_of_questions(tmp_path: Path) -> None:
    entry = question("", "Wo ?", "texte", 3)
    del entry["id"]
    content = squad(("T", [("Un texte.", [entry, entry])]))
    dataset = load_squad(write(tmp_path, "xquad.de.json", content))
    assert [(item.id, item.lang) for item in dataset.items] == [("0-0-0", "de"), ("0-0-1", "de")]


def test_questions_replace_wording_and_language(tmp_path: Path) -> None:
    entries = [question(name, f"{name} ?", "texte", 3) for name in ("a", "b", "c")]
    path = write(tmp_path, "s.json", squad(("T", [("Un texte.", entries)])))
    wordings = write(
        tmp_path,
        "w.jsonl",
        {"id": "c", "lang": "en", "question": "Sea?"},
        {"id": "a", "lang": "nl", "question": "Aa?"},
        {"id": "a", "lang": "en", "question": "Ay?"},
    )
    dataset = load_squad(path, questions=wordings)
    assert [(item.id, item.lang, item.question) for item in dataset.items] == [
        ("c", "en", "Sea?"),
        ("a-nl", "nl", "Aa?"),
        ("a-en", "en", "Ay?"),
    ]
    assert dataset.source["questions"]["name"] == "w.jsonl"
    unknown = write(tmp_path, "u.jsonl", {"id": "z", "lang": "en", "question": "?"})
    with pytest.raises(DatasetError, match=r"line 1: no question of s\.json has the id 'z'"):
        load_squad(path, questions=unknown)


def test_unanswerable_questions_and_limit(tmp_path: Path) -> None:
    entries = [question(f"q{n}", f"{n} ?", "texte", 3) for n in range(6)]
    path = write(tmp_path, "s.json", squad(("T", [("Un texte.", entries)])))
    extra = write(
        tmp_path,
        "u.jsonl",
        {"pid": "1-2", "lang": "nl", "question": "Wie?", "context": "Un texte."},
        {"pid": "1-3", "lang": "fr", "question": "Qui ?", "context": "Un autre."},
    )
    dataset = load_squad(path, unanswerable=extra)
    assert [item.id for item in dataset.items[6:]] == ["unanswerable-1-2", "unanswerable-1-3"]
    assert [context.text for context in dataset.contexts] == ["Un texte.", "Un autre."]
    # Four of eight, evenly spaced: positions 0, 2, 4, 6.
    limited = load_squad(path, unanswerable=extra, limit=4)
    assert [item.id for item in limited.items] == ["q0", "q2", "q4", "unanswerable-1-2"]
    assert limited.contexts == dataset.contexts
    assert limited.source["limit"] == 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "the field 'data' is missing"),
        ({"data": [{}]}, r"data\[0\]: the field 'paragraphs' is missing"),
        ({"data": [{"paragraphs": [{"context": "x"}]}]}, r"paragraphs\[0\]: the field 'qas'"),
        ({"data": []}, "no question"),
        (squad(("T", [("Un.", [question("a", "?", "Deux", 0)])])), "'Deux' is not in the context"),
        (squad(("T", [("Un.", [{"id": "a", "question": "?", "answers": []}])])), "no answer"),
        (
            squad(("T", [("Un.", [question("a", "?", "Un", 0), question("a", "!", "Un", 0)])])),
            "'a' is used by more than one",
        ),
    ],
)
def test_malformed_squad(tmp_path: Path, content: object, words: str) -> None:
    path = write(tmp_path, "s.json", content)
    with pytest.raises(DatasetError, match=words):
        load_squad(path)


def test_broken_squad_json_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text('{"data":\n[,]}')
    with pytest.raises(DatasetError, match="line 2: not valid JSON"):
        load_squad(path)


def test_corpus_is_written_once_letter_by_letter(tmp_path: Path) -> None:
    contexts = [Context("1/T.txt", "a\r\nb\n"), Context("2/É.txt", "# pas un titre")]
    root = write_corpus(contexts, tmp_path / "cache")
    assert (root / "corpus/1/T.txt").read_bytes() == b"a\r\nb\n"
    assert (root / "corpus/2/É.txt").read_text() == "# pas un titre"
    stamp = (root / "corpus/1/T.txt").stat().st_mtime_ns
    assert write_corpus(contexts[::-1], tmp_path / "cache") == root
    assert (root / "corpus/1/T.txt").stat().st_mtime_ns == stamp
    assert write_corpus(contexts[:1], tmp_path / "cache") != root
    assert len(list((tmp_path / "cache").iterdir())) == 2  # no draft is left behind
