"""Turn bytes into text, and mis-decoded text back into what was written.

A file that was decoded with the wrong table is damaged in a regular way: every
accent became the two or three characters that its UTF-8 bytes stand for in that
table ("é" is "√©" in MacRoman, "Ã©" in Windows-1252). Undoing it character by
character repairs lines that mix damaged and sound text, which a repair of whole
lines leaves alone.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from functools import lru_cache

import ftfy
from ftfy.fixes import fix_c1_controls

from rag.errors import Message, UnreadableDocument

__all__ = ["canonical", "decode", "repair"]

# The longest first: the mark of UTF-32 begins with that of UTF-16.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY_SIGNATURES = (b"%PDF-", b"PK\x03\x04", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b")
_CONTROL_BYTES = bytes(set(range(32)) - {8, 9, 10, 12, 13, 27})
_BINARY_SAMPLE = 64 * 1024
# Text holds next to no control characters; pictures and programs about one byte in eight.
_BINARY_SHARE = 0.01

_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_ENDS = re.compile(r"\r\n?|[\v\f]")


def decode(data: bytes, path: str) -> str:
    """Decode a text file, whatever wrote it.

    Tries the byte order mark, then UTF-8, then the single-byte table (Windows-1252
    or MacRoman) that gives the more plausible text. Raises `UnreadableDocument`
    for an empty or binary file.
    """
    if not data:
        raise UnreadableDocument(path, Message("is empty"))
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data.decode(name, errors="replace")
    if _is_binary(data):
        raise UnreadableDocument(path, Message("not text (binary)"))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    # Files put together from several sources mix encodings from line to line.
    table = _single_byte_table(data)
    return "".join(_decode_line(line, table) for line in data.splitlines(keepends=True))


def canonical(text: str) -> str:
    """Return `text` with its encoding repaired, LF line ends, NFC and no control characters."""
    text = _LINE_ENDS.sub("\n", text.removeprefix("\ufeff"))
    text = unicodedata.normalize("NFC", repair(text))
    return _CONTROLS.sub("", text).removeprefix("\ufeff")


def repair(text: str) -> str:
    """Undo UTF-8 that was read as MacRoman, Windows-1252 or Latin-1, even twice.

    Sound text comes back unchanged: `√2 ≈ 1,41`, curly quotes and no-break spaces
    are characters that damage is made of, and are only touched in combinations
    that spell the UTF-8 bytes of a letter, a typographic sign or an emoji.
    """
    for _ in range(3):
        before = text
        text = _repair_mac_roman(text)
        if _windows_pattern().search(text):
            text = "\n".join(map(_repair_windows, text.split("\n")))
        if text == before:
            break
    return fix_c1_controls(text)


def _is_binary(data: bytes) -> bool:
    if data.startswith(_BINARY_SIGNATURES):
        return True
    sample = data[:_BINARY_SAMPLE]
    controls = len(sample) - len(sample.translate(None, _CONTROL_BYTES))
    return controls > _BINARY_SHARE * len(sample)


def _decode_line(line: bytes, table: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        # Windows-1252 leaves five bytes undefined; Latin-1 gives them as controls.
        try:
            return line.decode(table)
        except UnicodeDecodeError:
            return line.decode("latin-1")


_PLAUSIBLE_LETTERS = frozenset("éèêëàâäçîïôöûüùœæÉÈÊÀÂÇÎÔŒñáíóúß")
_PLAUSIBLE_SIGNS = frozenset("«»’‘“”–—…°€§ \u00a0•")


def _single_byte_table(data: bytes) -> str:
    high = bytes(byte for byte in data if byte >= 0x80)[:20_000]
    scores = {
        name: sum(_plausibility(character) for character in high.decode(name, errors="replace"))
        for name in ("cp1252", "mac_roman")
    }
    return max(scores, key=lambda name: scores[name])


def _plausibility(character: str) -> int:
    if character in "éèàêç’":
        return 3
    if character in _PLAUSIBLE_LETTERS:
        return 1
    return 0 if character in _PLAUSIBLE_SIGNS else -1


# --- MacRoman -------------------------------------------------------------------------

_MAC = {byte: bytes([byte]).decode("mac_roman") for byte in range(0x80, 0x100)}
_MAC_BYTES = {character: byte for byte, character in _MAC.items()}
_MAC_TAIL = "[" + re.escape("".join(_MAC[byte] for byte in range(0x80, 0xC0))) + "]"


@lru_cache(maxsize=1)
def _mac_pattern() -> re.Pattern[str]:
    two, three, four = (
        "".join(_MAC[byte] for byte in lead)
        for lead in ((0xC2, 0xC3, 0xC5, 0xCC), (0xE2, 0xEF), (0xF0,))
    )
    return re.compile(
        f"[{two}]{_MAC_TAIL}|[{three}]{_MAC_TAIL}{{2}}|[{four}]{_MAC_TAIL}{{3}}",
    )


# What a formula may put behind a root or a negation: "√π" is "ù" only among letters.
_FORMULA = frozenset("√" + sign for sign in "π∞∑∏∂∫Ωµ") | {"¬∞", "¬∂", "¬∑", "¬π", "¬µ", "¬∏"}
_IN_WORD = re.compile(r"[^\W\d_]")


def _repair_mac_roman(text: str) -> str:
    pattern = _mac_pattern()
    matches = list(pattern.finditer(text))
    if not matches:
        return text
    # One accent that can be nothing else proves the file was mis-decoded.
    proven = any(
        match.group() not in _FORMULA and _mac_original(text, match) is not None
        for match in matches
    )
    parts, position = [], 0
    for match in matches:
        original = _mac_original(text, match)
        if original is None:
            continue
        if not proven and match.group() in _FORMULA and not _among_letters(text, match):
            continue
        parts += [text[position : match.start()], original]
        position = match.end()
    return "".join(parts) + text[position:]


def _mac_original(text: str, match: re.Match[str]) -> str | None:
    try:
        original = bytes(_MAC_BYTES[each] for each in match.group()).decode("utf-8")
    except UnicodeDecodeError:
        return None
    if 0x300 <= ord(original) <= 0x327:
        # A combining accent needs its letter ("e" + "ÃÅ").
        before = text[match.start() - 1] if match.start() else ""
        return original if before.isascii() and before.isalpha() else None
    return original if _plausible(original) else None


def _among_letters(text: str, match: re.Match[str]) -> bool:
    before, after = text[: match.start()][-2:], text[match.end() : match.end() + 1]
    if match.group() == "√π" and re.fullmatch(r"(?:.*[^\w])?[oO]", before):
        return not _IN_WORD.match(after)  # "o√π" is "où", the one French word with that letter
    if match.group() == "¬∞":
        return bool(re.search(r"[nN\d] ?$", before))
    return bool(_IN_WORD.match(before[-1:]) and _IN_WORD.match(after))


def _plausible(character: str) -> bool:
    code = ord(character)
    return (
        0xA0 <= code <= 0xFF
        or character in "œŒŸŠšŽžŁłčćřěůńś\ufe0f\ufeff\u02c6"
        or 0x2000 <= code <= 0x2BFF
        or 0x1F000 <= code <= 0x1FAFF
    )


# --- Windows-1252 and Latin-1 ---------------------------------------------------------


def _windows_character(byte: int) -> str:
    # Undefined bytes of Windows-1252 come through as controls.
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)


_WINDOWS_BYTES = {_windows_character(byte): byte for byte in range(0x80, 0x100)} | {
    chr(byte): byte for byte in range(0x80, 0x100)
}
_WINDOWS_TAIL = (
    "["
    + re.escape("".join(character for character, byte in _WINDOWS_BYTES.items() if byte < 0xC0))
    + "]"
)


@lru_cache(maxsize=1)
def _windows_pattern() -> re.Pattern[str]:
    return re.compile(f"[ÂÃÅ]{_WINDOWS_TAIL}|Ã |[âï]{_WINDOWS_TAIL}{{2}}|ð{_WINDOWS_TAIL}{{3}}")


def _repair_windows(line: str) -> str:
    if not _windows_pattern().search(line):
        return line
    fixed = ftfy.fix_encoding(line)
    return _windows_pattern().sub(_windows_original, fixed)


def _windows_original(match: re.Match[str]) -> str:
    damaged = match.group()
    if damaged.endswith(" "):
        return damaged
    try:
        original = bytes(_WINDOWS_BYTES[each] for each in damaged).decode("utf-8")
    except UnicodeDecodeError:
        return damaged
    return original if _plausible(original) else damaged
