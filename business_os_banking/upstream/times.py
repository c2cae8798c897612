"""Times as the world writes them: a moment, nothing, or a time that cannot be read. Pure: no Django, no clock.

A relay that re-serialises writes times in the form of its own language (upstream facts, section 10). What is read
without a guess is dated. What is not nothing and cannot be read without a guess is *undated*: it is no reason to lose
the fact, and none to invent an order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Final

from business_os_banking.upstream.values import is_nothing


@dataclass(frozen=True, slots=True)
class Undated:
    """There is a time, and it cannot be read without a guess. ``text`` tells it from others."""

    text: str


Time = datetime | Undated | None  # aware, in UTC; None is nothing

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_DAY: Final = timedelta(days=1)
_LAST_END: Final = timedelta(days=3653)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_NUMBER: Final = datetime(2015, 1, 1, tzinfo=UTC)
# Before this, no upstream of ours existed: 1970-01-01 and 0001-01-01 are what languages have for "no time".
_FIRST_YEAR: Final = 2000
_NO_END_YEAR: Final = 9999
_TOO_LATE: Final = 2200  # nobody means it
_UNITS: Final = {10: 1, 13: 10**3, 16: 10**6, 19: 10**9}  # digits of a number: how many of it are a second
_SENT_MAX_LENGTH: Final = 100
# What pandas and JavaScript print for a time that is none.
_NO_TIME: Final = frozenset({"nat", "invalid date"})

# With an offset, RFC 9557 allows the name of the zone after it.
_ZONE: Final = (
    r"(?:Z|(?:UTC|GMT)(?: ?[+-]00:?00)?|([+-]\d{2}):?(\d{2})?(?: ?(?:Z|UTC|GMT))?)(?:\[[\w/+-]+\])?"
)
_ISO: Final = re.compile(
    rf"(\d{{4}})-?(\d{{2}})-?(\d{{2}})(?: |T)(\d{{2}}):?(\d{{2}})(?::?(\d{{2}})(?:[.,](\d+))?)? ?({_ZONE})?",
    re.ASCII | re.IGNORECASE,
)
_DATE: Final = re.compile(rf"(\d{{4}})-?(\d{{2}})-?(\d{{2}}) ?({_ZONE})?", re.ASCII | re.IGNORECASE)
# What a number is to JSON in Java, and what Go adds to a time of its own clock.
_EXPONENT: Final = re.compile(r"\d(?:\.\d{1,20})?E\+?\d{1,2}", re.ASCII | re.IGNORECASE)
_MONOTONIC: Final = re.compile(r" m=[+-][\d.]+$", re.ASCII)
# The years that languages and databases have for no time, in whatever form; .NET counts from its first one.
_NO_TIME_IN: Final = re.compile(
    r"(?<![\d+:])(?<!:\d\d\.)(?:0001|1900|1970|(?<!-)0000)(?![\d:])|^/Date\((?:-|0\b)", re.ASCII
)
_NUMBER: Final = re.compile(r"(-)?(\d+)(?:\.(\d+))?", re.ASCII)
_DAY_NAME: Final = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH: Final = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
# RFC 9110's own form; its older one, which is C's and Python's ctime(); that with a zone in it; and JavaScript's.
_RFC_9110: Final = re.compile(
    rf"(?:{_DAY_NAME}, )?\d{{1,2}} {_MONTH} \d{{4}} \d\d:\d\d:\d\d (?:GMT|UTC|Z|[+-]\d{{4}})", re.IGNORECASE
)
_CTIME: Final = re.compile(
    rf"{_DAY_NAME} ({_MONTH}) (\d{{1,2}}) (\d\d:\d\d:\d\d) (?:(GMT|UTC) )?(\d{{4}})", re.IGNORECASE
)
_JAVASCRIPT: Final = re.compile(
    rf"{_DAY_NAME} ({_MONTH}) (\d{{1,2}}) (\d{{4}}) (\d\d:\d\d:\d\d) GMT([+-]\d{{4}})(?: \(.*\))?",
    re.IGNORECASE,
)


def time_of(value: Any, received_at: datetime, *, is_end: bool = False) -> Time:
    """Return the moment that *value* is, ``None`` for nothing, `Undated` for what cannot be read without a guess.

    *received_at* (aware, UTC) is when we heard of it. *is_end* is for the end of a consent: it may lie ahead, and a
    date alone means the end of that day; year 9999 is no end.
    """
    text = _text_of(value)
    moment, has_zone = _moment(text, received_at, is_end=is_end)
    if moment is None:
        return None if is_nothing(value) or _is_no_time(text) else Undated(text[:_SENT_MAX_LENGTH])
    if not _FIRST_YEAR <= moment.year < _NO_END_YEAR:
        return None
    # Without a zone, and later than we heard of it, it is the local time of somewhere.
    is_elsewhere = not (has_zone or is_end) and moment > received_at + CLOCK_TOLERANCE
    return Undated(text[:_SENT_MAX_LENGTH]) if is_elsewhere or moment.year >= _TOO_LATE else moment


def dated(time: Time) -> datetime | None:
    """Return *time* if it is a moment."""
    return time if isinstance(time, datetime) else None


def _text_of(value: Any) -> str:
    # Nothing that is longer is a time, and blanks are looked for in no more than this.
    text = f"{value:f}" if isinstance(value, float) else str(value)[: 2 * _SENT_MAX_LENGTH]
    text = " ".join(text.split())
    return f"{Decimal(text):f}" if _EXPONENT.fullmatch(text) else _MONOTONIC.sub("", text)


def _is_no_time(text: str) -> bool:
    """Whether *text* is what languages have for no time: a word, a negative number or zero, the first or last year."""
    if number := _NUMBER.fullmatch(text):
        return number[1] is not None or not number[2].strip("0")
    date = re.match(r"(\d{4})-?\d\d-?\d\d(?!\d)", text, re.ASCII)
    is_no_year = date is not None and not _FIRST_YEAR <= int(date[1]) < _NO_END_YEAR
    return is_no_year or text.lower() in _NO_TIME or _NO_TIME_IN.search(text) is not None


def _moment(text: str, received_at: datetime, *, is_end: bool) -> tuple[datetime | None, bool]:
    """Return the moment that *text* is, and whether it names its zone."""
    try:
        if match := _ISO.fullmatch(text):
            return _of_iso(match), match[8] is not None
        if is_end and (match := _DATE.fullmatch(text)):
            end = (
                datetime(int(match[1]), int(match[2]), int(match[3]), tzinfo=UTC)
                + _DAY
                - timedelta(seconds=1)
            )
            return _in_utc(end, match[5], match[6]), True
        if match := _NUMBER.fullmatch(text):
            last = received_at + (_LAST_END if is_end else _DAY)
            return (None if match[1] else _of_number(match[2], match[3] or "", last)), True
        if _RFC_9110.fullmatch(text):
            return _of_rfc(text), not text.endswith("-0000")  # which means that the zone is not known
        if match := _CTIME.fullmatch(text):
            month, day, time, zone, year = match.groups()
            return _of_rfc(f"{day} {month} {year} {time} +0000"), zone is not None
        if match := _JAVASCRIPT.fullmatch(text):
            return _of_rfc("{1} {0} {2} {3} {4}".format(*match.groups())), True
    except (ValueError, OverflowError):
        pass
    return None, False


def _of_number(digits: str, fraction: str, last: datetime) -> datetime | None:
    unit = _UNITS.get(len(digits))
    if unit is None:
        return None
    microseconds = int(f"{digits}{fraction[:6]:0<6}") // unit
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment if _FIRST_NUMBER <= moment <= last else None


def _of_rfc(text: str) -> datetime:
    if _NO_TIME_IN.search(text):
        raise ValueError("the library takes the year 1 for 2001")
    moment = parsedate_to_datetime(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _of_iso(match: re.Match[str]) -> datetime:
    year, month, day, hour, minute, second, fraction = match.groups()[:7]
    microsecond = int(f"{fraction[:6]:0<6}") if fraction else 0
    is_midnight = hour == "24" and not int(minute) and not int(second or 0) and not microsecond  # of ISO 8601
    hours = 0 if is_midnight else int(hour)
    moment = datetime(int(year), int(month), int(day), hours, int(minute), int(second or 0), microsecond, UTC)
    return _in_utc(moment + _DAY if is_midnight else moment, match[9], match[10])


def _in_utc(moment: datetime, hours: str | None, minutes: str | None) -> datetime:
    """Return *moment*, told at a place that is *hours*, with their sign, and *minutes* from UTC."""
    if hours is None:
        return moment
    offset = timedelta(hours=int(hours[1:]), minutes=int(minutes or 0))
    if offset >= _DAY:
        raise ValueError("no place is as far from UTC")
    return moment + offset if hours.startswith("-") else moment - offset
