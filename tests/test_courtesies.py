"""Greetings, thanks and questions about the assistant, and real questions beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.dataset import load_gold
from rag.courtesies import Courtesy, bare_question, courtesy

DEV = Path(__file__).resolve().parent.parent / "eval" / "dev.jsonl"

COURTESIES = [
    ("Bonjour", "greeting", "fr"),
    ("bonjour !", "greeting", "fr"),
    ("Salut Citadelle", "greeting", "fr"),
    ("Bonsoir à tous.", "greeting", "fr"),
    ("Hello", "greeting", "en"),
    ("hi there!", "greeting", "en"),
    ("Good morning", "greeting", "en"),
    ("Goedemorgen", "greeting", "nl"),
    ("hoi", "greeting", "nl"),
    ("Hallo daar", "greeting", "nl"),
    ("Bonjour, ça va ?", "wellbeing", "fr"),
    ("How are you?", "wellbeing", "en"),
    ("Hoe gaat het?", "wellbeing", "nl"),
    ("Merci", "thanks", "fr"),
    ("merci beaucoup pour ton aide !", "thanks", "fr"),
    ("D'accord, merci", "thanks", "fr"),
    ("Thanks a lot", "thanks", "en"),
    ("thank you for your help", "thanks", "en"),
    ("Hartelijk bedankt", "thanks", "nl"),
    ("dank u wel", "thanks", "nl"),
    ("Merci, au revoir", "goodbye", "fr"),
    ("Bonne journée !", "goodbye", "fr"),
    ("Bye", "goodbye", "en"),
    ("See you later", "goodbye", "en"),
    ("Tot ziens", "goodbye", "nl"),
    ("Qui es-tu ?", "assistant", "fr"),
    ("Bonjour, qui êtes-vous ?", "assistant", "fr"),
    ("que peux-tu faire ?", "assistant", "fr"),
    ("Es-tu un robot ?", "assistant", "fr"),
    ("Who are you?", "assistant", "en"),
    ("Salut, what can you do?", "assistant", "en"),
    ("Can you help me, please?", "assistant", "en"),
    ("Wie ben je?", "assistant", "nl"),
    ("Wat kan je doen?", "assistant", "nl"),
    ("Quels documents as-tu ?", "corpus", "fr"),
    ("Quelles sont tes sources ?", "corpus", "fr"),
    ("D’où viennent vos réponses ?", "corpus", "fr"),
    ("De quoi parlent tes documents ?", "corpus", "fr"),
    ("What are you for?", "assistant", "en"),
    ("Help mij", "assistant", "nl"),
    ("dag dag", "goodbye", "nl"),
    ("Which documents do you have?", "corpus", "en"),
    ("What are your sources? Thanks!", "corpus", "en"),
    ("What can I ask you?", "corpus", "en"),
    ("Wat zijn je bronnen?", "corpus", "nl"),
    ("Welke documenten heb je?", "corpus", "nl"),
    ("Hoi, waar komen je antwoorden vandaan?", "corpus", "nl"),
]

QUESTIONS = [
    "Bonjour, qui dirige le CCB ?",
    "Qui est le directeur ?",
    "Who is the ECCG?",
    "Merci de me donner le numéro du CCB",
    "Salut les copains, c'est quoi ?",
    "Bonjour tristesse, c'est de qui ?",
    "Merci pour la réponse, mais qui dirige le CCB ?",
    "Qui es-tu dans l'organigramme du CCB ?",
    "Qui sont les membres ?",
    "Que peut faire le CCB ?",
    "Que sais-tu du CCB ?",
    "Quels documents faut-il fournir ?",
    "Quelles sont les sources du droit ?",
    "Quels documents le CCB publie-t-il ?",
    "De quoi parlent les documents de l'ENISA ?",
    "Comment ça marche ?",
    "aide",
    "Aide-moi à trouver le siège du BCC",
    "Ça va coûter combien ?",
    "Au revoir, c'est quoi en néerlandais ?",
    "Comment dit-on merci ?",
    "Et son siège ?",
    "Hello, who represents Belgium in ECCG?",
    "What can you do about ransomware?",
    "Can you help me find the address of the CCB?",
    "What do you know about the Belgian Cyber Command?",
    "How does it work?",
    "What are the sources of the NIS directive?",
    "Which documents does the CCB publish?",
    "Thanks for nothing: who leads the CCB?",
    "Are you allowed to attack?",
    "Who are they?",
    "good practices",
    "Hi-Tech Crime Unit",
    "Goedemorgen, wie leidt het CCB?",
    "Wat kan het CCB doen?",
    "Wat zijn de bronnen van het recht?",
    "Welke documenten heeft het CCB?",
    "Hoe werkt het?",
    "Wie is de voorzitter?",
    "Dag van de veiligheid",
    "Hoe gaat het CCB te werk?",
    "Bedankt voor de hulp aan Niger, wie gaf die?",
    "BCC",
    "ok corral",
    # After a question on passports, these ask for what must be brought.
    "Et quels sont les documents ?",
    "Que contiennent ces documents ?",
    "Liste des documents",
    "What are the documents?",
    "Wat zijn de documenten?",
    "How many files are there?",
    "Bonjour, что это?",
    "Bonjour 你好吗 法律",
    "DAG",
]


@pytest.mark.parametrize(("message", "kind", "language"), COURTESIES)
def test_a_courtesy_is_told_with_its_language(message: str, kind: str, language: str) -> None:
    found = courtesy(message)
    assert found is not None
    assert (found.kind, found.language) == (kind, language)


@pytest.mark.parametrize("message", QUESTIONS)
def test_a_question_is_not_taken(message: str) -> None:
    assert courtesy(message) is None


def test_no_question_of_the_dev_file_is_taken() -> None:
    items = load_gold(DEV).items
    assert len(items) == 50
    assert [item.question for item in items if courtesy(item.question)] == []


@pytest.mark.parametrize("message", ["", "  ", "?!", "please", "x" * 10_000, "bonjour " * 1000])
def test_nothing_and_too_much_are_no_courtesy(message: str) -> None:
    assert courtesy(message) is None


def test_a_courtesy_is_a_record() -> None:
    assert courtesy("merci") == Courtesy("thanks", "fr")


@pytest.mark.parametrize(
    ("message", "question"),
    [
        ("Bonjour, qui dirige le CCB ?", "qui dirige le CCB ?"),
        ("Bonjour qui dirige le CCB ?", "qui dirige le CCB ?"),
        ("Bonjour madame, qui dirige le CCB ? Merci d'avance.", "qui dirige le CCB ?"),
        ("Hello! Who leads the CCB, thanks", "Who leads the CCB"),
        ("hi there, et son siège ?", "et son siège ?"),
        ("Merci ! Et son siège ?", "Et son siège ?"),
        ("Goedemorgen, wie leidt het CCB? Alvast bedankt!", "wie leidt het CCB?"),
        # Words of the question itself.
        ("Bonjour tristesse, c'est de qui ?", "Bonjour tristesse, c'est de qui ?"),
        ("Salut les copains ?", "Salut les copains ?"),
        ("Hi-Tech Crime Unit", "Hi-Tech Crime Unit"),
        ("Comment dit-on merci ?", "Comment dit-on merci ?"),
        ("Merci de me donner le numéro du CCB", "Merci de me donner le numéro du CCB"),
        ("Dag van de veiligheid", "Dag van de veiligheid"),
        # Nothing but courtesies.
        ("Bonjour, merci.", "Bonjour, merci."),
        ("Qui dirige le CCB ?", "Qui dirige le CCB ?"),
    ],
)
def test_a_question_is_freed_of_what_is_around_it(message: str, question: str) -> None:
    assert bare_question(message) == question
