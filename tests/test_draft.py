"""What models write, in the forms that they write it in, whole and cut anywhere."""

from __future__ import annotations

import pytest

from rag.draft import NO_ANSWER, Draft, Drafted

SIEGE = "Le BCC siège à Bruxelles."


def read(text: str, passages: int = 5, size: int | None = None) -> list[Drafted]:
    """Return the sentences of a text that comes in pieces of `size` characters."""
    draft = Draft(passages)
    size = size or max(len(text), 1)
    found: list[Drafted] = []
    for start in range(0, len(text), size):
        found += draft.feed(text[start : start + size])
    return found + draft.finish()


def pairs(text: str, passages: int = 5) -> list[tuple[str, tuple[int, ...]]]:
    """Return sentences and numbers, after seeing that cutting the text changes nothing."""
    whole = read(text, passages)
    for size in (1, 2, 3, 7):
        assert read(text, passages, size) == whole
    return [(drafted.text, drafted.cited) for drafted in whole]


@pytest.mark.parametrize(
    ("written", "cited"),
    [
        ("Le BCC siège à Bruxelles [1].", (1,)),
        ("Le BCC siège à Bruxelles. [1]", (1,)),
        ("Le BCC siège à Bruxelles.[1]", (1,)),
        ("Le BCC siège à Bruxelles [1, 2].", (1, 2)),
        ("Le BCC siège à Bruxelles [1][2].", (1, 2)),
        ("Le BCC siège à Bruxelles [1] [2].", (1, 2)),
        ("Le BCC siège à Bruxelles [1-3].", (1, 2, 3)),
        ("Le BCC siège à Bruxelles [1 et 4].", (1, 4)),
        ("Le BCC siège à Bruxelles (1).", (1,)),
        ("Le BCC siège à Bruxelles. (1)", (1,)),
        ("Le BCC siège à Bruxelles (1, 2).", (1, 2)),
        ("Le BCC siège à Bruxelles 【1】.", (1,)),
        ("Le BCC siège à Bruxelles【1†source】.", (1,)),
        ("Le BCC siège à Bruxelles.【2:0†bcc.md】", (2,)),
        ("Le BCC siège à Bruxelles [^1].", (1,)),
        ("Le BCC siège à Bruxelles.[^1]", (1,)),
        ("Le BCC siège à Bruxelles [source 1].", (1,)),
        ("Le BCC siège à Bruxelles [Sources 1, 2].", (1, 2)),
        ("Le BCC siège à Bruxelles [Passage 1 et passage 3].", (1, 3)),
        ("Le BCC siège à Bruxelles (passage 2).", (2,)),
        ("Le BCC siège à Bruxelles (voir [1]).", (1,)),
        ("Le BCC siège à Bruxelles ([1], [3]).", (1, 3)),
        ("Le BCC siège à Bruxelles [1: Belgian Cyber Command].", (1,)),
        ("Le BCC siège à Bruxelles [[1]].", (1,)),
        ("Le BCC siège à Bruxelles [1](bcc.md).", (1,)),
        ("Le BCC siège à Bruxelles¹.", (1,)),
        ("Le BCC siège à Bruxelles.¹ ²", (1, 2)),
        ("Le BCC siège à Bruxelles<sup>1</sup>.", (1,)),
        ("Le BCC siège à Bruxelles <sup>[1]</sup>.", (1,)),
        ("[2] Le BCC siège à Bruxelles.", (2,)),
        ("Le BCC [1] siège à Bruxelles [2].", (1, 2)),
        ("Selon le passage 2, le BCC siège à Bruxelles.", (2,)),
        ("**Le BCC** siège à *Bruxelles* [1].", (1,)),
        ("Le BCC siège à `Bruxelles` [1].", (1,)),
        ("Le [BCC](bcc.md) siège à Bruxelles [1].", (1,)),
        ("> Le BCC siège à Bruxelles [1].", (1,)),
        ("Le \x1bBCC\x07 siège\u202e à\r Bru\u200bxelles\ufeff [1].", (1,)),
        ("Le BCC siège à Bruxelles [9].", (9,)),
        ("Le BCC siège à Bruxelles.", ()),
    ],
)
def test_one_sentence(written: str, cited: tuple[int, ...]) -> None:
    assert pairs(written) == [(SIEGE, cited)]


@pytest.mark.parametrize(
    "text",
    [
        "Il fut créé par la loi de sécurité (2022).",
        "L'article 3 (2) le dit.",
        "Il compte deux volets, (1) la défense et (2) le renseignement.",
        "Il compte 12 membres (7) en 2022.",
        "Le bureau mesure 25 m².",
        "La chaîne [sic] fut coupée.",
        "En [2022] il a grandi.",
        "La réponse est 10³.",
    ],
)
def test_numbers_that_are_no_markers_stay(text: str) -> None:
    assert pairs(text) == [(text, ())]


@pytest.mark.parametrize(
    "text",
    [
        "Le BCC siège à Bruxelles [1]. Il date de 2022 [2].",
        "Le BCC siège à Bruxelles. [1] Il date de 2022. [2]",
        "Le BCC siège à Bruxelles.[1] Il date de 2022.[2]",
        "Le BCC siège à Bruxelles. (1) Il date de 2022. (2)",
        "Le BCC siège à Bruxelles.¹ Il date de 2022.²",
        "Le BCC siège à Bruxelles [1].\n\nIl date de 2022 [2].",
        "## Réponse\n\nLe BCC siège à Bruxelles [1]. Il date de 2022 [2].\n\n---\n",
        "```markdown\nLe BCC siège à Bruxelles [1]. Il date de 2022 [2].\n```",
        "<think>Le BCC serait à Gand [3]. Voyons.</think>Le BCC siège à Bruxelles [1]. "
        "Il date de 2022 [2].",
        "[THINK]Gand ? [3].[/THINK]Le BCC siège à Bruxelles [1]. Il date de 2022 [2].",
        "<|channel|>analysis<|message|>Gand [3].<|end|><|start|>assistant<|channel|>final"
        "<|message|>Le BCC siège à Bruxelles [1]. Il date de 2022 [2].<|return|>",
        '<tool_call>{"name": "search"}</tool_call>Le BCC siège à Bruxelles [1]. '
        "Il date de 2022 [2].",
        "Le BCC siège à Bruxelles [1]. Il date de 2022 [2].\n\nSources :\n[1] bcc.md\n[2] loi.md",
        "Le BCC siège à Bruxelles[^1]. Il date de 2022[^2].\n\n[^1]: bcc.md\n[^2]: loi.md",
        "Le BCC siège à Bruxelles [1]. Il date de 2022 [2].\n```python\nprint('Gand')\n```",
        "Le BCC siège à Bruxelles [1]. Il date de 2022 [2].\n<think>Ai-je tout dit ?",
    ],
)
def test_two_sentences(text: str) -> None:
    assert pairs(text) == [(SIEGE, (1,)), ("Il date de 2022.", (2,))]


def test_items_are_read_with_the_line_that_introduces_them() -> None:
    text = (
        "Les **missions** du BCC sont :\n"
        "- **Défense** des réseaux [1]\n"
        "* le renseignement [2] ;\n"
        "3. le soutien (3)\n"
        "\nLe BCC siège à Bruxelles [1]."
    )
    lead = "Les missions du BCC sont :"
    assert read(text) == [
        Drafted("Défense des réseaux", (1,), "\n", lead),
        Drafted("le renseignement ;", (2,), "\n", lead),
        Drafted("le soutien", (3,), "\n", lead),
        Drafted(SIEGE, (1,), "\n"),
    ]
    assert read(text)[0].statement == f"{lead} Défense des réseaux"
    assert pairs(text)[3] == (SIEGE, (1,))


def test_a_sentence_comes_as_soon_as_the_next_has_begun() -> None:
    draft = Draft(3)
    assert draft.feed("Le gén. Thys dirige le BCC [1].") == []
    # The marker might still be followed by another.
    assert draft.feed(" [2]") == []
    assert draft.feed(" Il") == []
    assert draft.feed(" siège ") == [Drafted("Le gén. Thys dirige le BCC.", (1, 2), "\n")]
    assert draft.feed("à Bruxelles [3].") == []
    assert draft.finish() == [Drafted("Il siège à Bruxelles.", (3,), " ")]


def test_reasoning_whose_beginning_stands_in_the_prompt_is_forgotten() -> None:
    text = "Voyons le passage 3 : il dit que Gand</think>\nLe BCC siège à Bruxelles [1]."
    assert pairs(text) == [(SIEGE, (1,))]


@pytest.mark.parametrize("text", [NO_ANSWER, f"{NO_ANSWER}.", f"**{NO_ANSWER}**", "NO ANSWER"])
def test_a_model_can_say_that_nothing_answers(text: str) -> None:
    draft = Draft(3)
    assert draft.feed(text) + draft.finish() == []
    assert draft.declined


@pytest.mark.parametrize("text", ["", " \n\n ", "…", "[1]", "---", "```", "<think>rien", "**"])
def test_nothing_is_no_sentence(text: str) -> None:
    draft = Draft(3)
    assert draft.feed(text) + draft.finish() == []
    assert (draft.declined, draft.endless) == (False, False)


def test_a_line_without_end_is_given_up() -> None:
    draft = Draft(3)
    for _ in range(1000):
        assert draft.feed("et encore ") == []
    assert draft.endless
    assert all("encore" in drafted.text for drafted in draft.finish())
