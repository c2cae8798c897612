"""Telling e-mail addresses and account numbers in a text. Pure: no Django.

An IBAN is told by its country's length and its check digits (ISO 13616), so that ids and digests are left alone.
Names of people cannot be told from other words.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, TypeGuard

MASK: Final = "***"

# Lengths are bounded, as a mail server bounds them: a long text without an address must not take for ever.
_LABEL: Final = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_EMAIL: Final = re.compile(rf"[\w.+-]{{1,64}}(?:@|%40)(?:{_LABEL}\.){{1,8}}[^\W\d_]{{2,}}", re.IGNORECASE)
# In one piece, or in groups of four: with blanks, hyphens, or as an address encodes them.
_GAP: Final = re.compile(r" |-|\+|%20|\u00a0")
_IBAN: Final = re.compile(
    r"[A-Za-z]{2}[0-9]{2}(?:(?<![A-Za-z0-9]....)|(?<=%[0-9A-Fa-f]{2}....))"
    rf"(?:[A-Za-z0-9]{{11}}|(?:(?:{_GAP.pattern})[A-Za-z0-9]{{4}}){{2}})"
)
_LENGTHS: Final = {
    country: int(length)
    for country, length in re.findall(
        r"([A-Z]{2})(\d{2})",
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 "
        "EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 "
        "KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 "
        "PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 "
        "UA29 VA22 VG24 XK20 YE30",
    )
}
_SHORTEST: Final = min(_LENGTHS.values())


def masked(text: str) -> str:
    """Return *text* with `MASK` in the place of every e-mail address and every IBAN."""
    if "@" in text or "%40" in text:
        text = _EMAIL.sub(MASK, text)
    if len(text) < _SHORTEST:  # as most words are that come from outside
        return text
    for start, end in reversed(list(_ibans(text))):
        text = text[:start] + MASK + text[end:]
    return text


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each IBAN starts and ends."""
    position = 0
    while match := _IBAN.search(text, position):
        end = _end_of_iban(text, match.start())
        if end:
            yield match.start(), end
        position = end or match.start() + 1


def _end_of_iban(text: str, start: int) -> int:
    """Return where the IBAN that starts at *start* ends; 0 if it is none."""
    length = _LENGTHS.get(text[start : start + 2].upper(), 0)
    gap = _GAP.match(text, start + 4)
    step = 4 if gap else length
    letters, end = "", start
    while len(letters) < length and (not letters or (gap and text.startswith(gap[0], end))):
        begin = end + (len(gap[0]) if gap and letters else 0)
        end = begin + min(step, length - len(letters))
        letters += text[begin:end]
    return end if _is_iban(letters, length) and not text[end : end + 1].isalnum() else 0


def _is_iban(letters: str, length: int) -> bool:
    if not length or len(letters) < length or not (letters.isascii() and letters.isalnum()):
        return False
    # In hex and small letters, every so often an id would be one.
    if not (letters[4:].isdigit() or letters.isupper()):
        return False
    return int("".join(str(int(letter, 36)) for letter in letters[4:] + letters[:4])) % 97 == 1


def is_secret(value: Any) -> TypeGuard[str]:
    """Return whether *value* is a text that is worth masking.

    Shorter than eight characters it is a word, such as the sandbox's key, and masking it would garble other texts.
    """
    return isinstance(value, str) and len(value) >= 8
