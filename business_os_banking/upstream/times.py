"""Times as the world writes them: a moment, nothing, or a time that cannot be read. Pure: no Django, no clock.

A relay that re-serialises writes times in the form of its own language (upstream facts, section 10). What is read
without a guess is dated. What is not nothing and cannot be read without a guess is *undated*: it is no reason to lose
the fact, and none to invent an order.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, Final

from business_os_banking.upstream.values import is_nothing


class Undated(Enum):
    """There is a time, and it cannot be read without a guess."""

    UNDATED = "undated"


UNDATED: Final = Undated.UNDATED
Time = datetime | Undated | None  # aware, in UTC; None is nothing

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_DAY: Final = timedelta(days=1)
_LAST_END: Final = timedelta(days=3653)
# Before this, no upstream of ours existed: 1970-01-01 and 0001-01-01 are what languages have for "no time".
_FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST_NUMBER: Final = datetime(2015, 1, 1, tzinfo=UTC)
_NO_END_YEAR: Final = 9999
_YEARS: Final = range(2000, 2200)
_UNITS: Final = {10: 1, 13: 10**3, 16: 10**6, 19: 10**9}  # digits of a number: how many of it are a second

_ZONE: Final = r"(?:Z|UTC|GMT|([+-]\d{2}):?(\d{2})?(?: ?(?:Z|UTC|GMT))?)"
_ISO: Final = re.compile(
    rf"(\d{{4}})-?(\d{{2}})-?(\d{{2}})(?: |T)(\d{{2}}):?(\d{{2}})(?::?(\d{{2}})(?:[.,](\d+))?)? ?({_ZONE})?",
    re.ASCII | re.IGNORECASE,
)
_DATE: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_NUMBER: Final = re.compile(r"(\d+)(?:\.(\d+))?", re.ASCII)
_DAY_NAME: Final = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH: Final = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
# RFC 9110's own form; its older one, which is C's and Python's ctime(); that with a zone in it; and JavaScript's.
_RFC_9110: Final = re.compile(
    rf"{_DAY_NAME}, \d{{1,2}} {_MONTH} \d{{4}} \d\d:\d\d:\d\d (?:GMT|UTC|[+-]\d{{4}})", re.IGNORECASE
)
_CTIME: Final = re.compile(
    rf"{_DAY_NAME} ({_MONTH}) (\d{{1,2}}) (\d\d:\d\d:\d\d) (?:(?:GMT|UTC) )?(\d{{4}})", re.IGNORECASE
)
_JAVASCRIPT: Final = re.compile(
    rf"{_DAY_NAME} ({_MONTH}) (\d{{1,2}}) (\d{{4}}) (\d\d:\d\d:\d\d) GMT([+-]\d{{4}})(?: \(.*\))?",
    re.IGNORECASE,
)


def time_of(value: Any, received_at: datetime, *, is_end: bool = False) -> Time:
    """Return the moment that *value* is, ``None`` for nothing, `UNDATED` for what cannot be read without a guess.

    *received_at* (aware, UTC) is when we heard of it. *is_end* is for the end of a consent: it may lie ahead, and a
    date alone means the end of that day; year 9999 is no end.
    """
    if is_nothing(value):
        return None
    text = (
        " ".join(str(value).split()) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    )
    if number := _NUMBER.fullmatch(text):
        return _of_number(number[1], number[2] or "", received_at, is_end=is_end)
    moment, has_zone = _of_text(text, is_end=is_end)
    if moment is None:
        return UNDATED
    if moment < _FIRST or moment.year == _NO_END_YEAR:
        return None
    if moment.year not in _YEARS:
        return UNDATED
    if not has_zone and not is_end and moment > received_at + CLOCK_TOLERANCE:
        return UNDATED  # the local time of somewhere: it would be later than we heard of it
    return moment


def dated(time: Time) -> datetime | None:
    """Return *time* if it is a moment."""
    return time if isinstance(time, datetime) else None


def _of_number(digits: str, fraction: str, received_at: datetime, *, is_end: bool) -> Time:
    if not digits.strip("0"):
        return None
    unit = _UNITS.get(len(digits))
    if unit is None or (fraction and unit != 1):
        return UNDATED
    microseconds = int(f"{digits}{fraction[:6]:0<6}") if unit == 1 else int(digits) * 10**6 // unit
    moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
    last = received_at + (_LAST_END if is_end else _DAY)
    return moment if _FIRST_NUMBER <= moment <= last else UNDATED


def _of_text(text: str, *, is_end: bool) -> tuple[datetime | None, bool]:
    """Return the moment that *text* is, and whether it names its zone."""
    try:
        if match := _ISO.fullmatch(text):
            return _of_iso(match), match[8] is not None
        if is_end and (match := _DATE.fullmatch(text)):
            year, month, day = map(int, match.groups())
            if year == _NO_END_YEAR:
                return datetime(year, month, day, tzinfo=UTC), True
            return datetime(year, month, day, tzinfo=UTC) + _DAY - timedelta(seconds=1), True
        if _RFC_9110.fullmatch(text):
            return parsedate_to_datetime(text).astimezone(UTC), True
        if match := _CTIME.fullmatch(text):
            text = "{1} {0} {3} {2} +0000".format(*match.groups())
            return parsedate_to_datetime(text).astimezone(UTC), True
        if match := _JAVASCRIPT.fullmatch(text):
            text = "{1} {0} {2} {3} {4}".format(*match.groups())
            return parsedate_to_datetime(text).astimezone(UTC), True
    except (ValueError, OverflowError):
        return None, False
    return None, False


def _of_iso(match: re.Match[str]) -> datetime:
    year, month, day, hour, minute, second, fraction = match.groups()[:7]
    hours, minutes = match[9] or "+00", match[10] or "00"
    text = (
        f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}.{(fraction or '')[:6]:0<6}{hours}:{minutes}"
    )
    moment = datetime.fromisoformat(text)
    # astimezone() cannot leave the years that Python knows.
    return moment.replace(tzinfo=UTC) if moment.year in {1, _NO_END_YEAR} else moment.astimezone(UTC)
