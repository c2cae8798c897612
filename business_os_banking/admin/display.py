"""How the admin shows things: secrets masked, statuses as coloured words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast
from urllib.parse import urlencode, urlsplit

from django.contrib.admin.utils import display_for_field, quote
from django.db.models import Field, Model
from django.urls import NoReverseMatch, reverse
from django.utils import formats, timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from business_os_banking.facts.preview import Change

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Text: TypeAlias = "str | _StrPromise"
Tone = Literal["good", "waiting", "warning", "bad", "quiet"]

ELLIPSIS: Final = "…"
EMPTY: Final = "-"

# How many characters of a secret may be shown, by its length: never more than a quarter of it.
_SHOWN: Final = ((16, 4), (8, 2))
_SENSITIVE_KEY: Final = re.compile(
    r"token|secret|mail|passw|credential|authori[sz]ation|api_?key|connect_url|custom_fields", re.IGNORECASE
)


def mask(secret: object) -> str:
    """Return the first characters of *secret* and an ellipsis, enough to tell two apart: ``8c4a…``.

    Four characters of a text of sixteen or more, two of one of eight or more, else none. Nothing is "".
    """
    text = "" if secret is None else str(secret)
    if not text:
        return ""
    count = next((count for length, count in _SHOWN if len(text) >= length), 0)
    return text[:count] + ELLIPSIS


def mask_email(address: str) -> str:
    """Return an address with its first character and its domain: ``i…@mustermann.de``."""
    local, at, domain = address.rpartition("@")
    if not at:
        return mask(address)
    first = local[:1] if len(local) > 1 else ""
    return f"{first}{ELLIPSIS}@{domain}"


def person(user: Any) -> SafeString:
    """Return a user's name. Many sites use the e-mail address as user name: that is masked."""
    name = str(user.get_username())
    return format_html('<span class="banking-keep">{}</span>', mask_email(name) if "@" in name else name)


def word(text: Text, tone: str) -> SafeString:
    """Return *text* as a coloured word. The meaning must be in the text: the colour only adds to it."""
    return format_html('<span class="banking-word banking-word-{}">{}</span>', tone, text)


def lines(*texts: Text) -> SafeString:
    """Return the texts one below the other, the later ones smaller; empty ones are left out."""
    first, *others = [text for text in texts if text] or [EMPTY]
    small = format_html_join("", '<span class="banking-small">{}</span>', ((text,) for text in others))
    return format_html("{}{}", first, small)


def moment(at: datetime | None) -> SafeString:
    """Return day and time in the active time zone and language, one below the other: lists are narrow."""
    if at is None:
        return lines()
    local = timezone.localtime(at) if timezone.is_aware(at) else at
    return lines(formats.date_format(local, "SHORT_DATE_FORMAT"), formats.time_format(local, "TIME_FORMAT"))


def value(column: Field[Any, Any], content: Any) -> str:
    """Return the content of a column in words: a choice by its label, a moment in the active time zone."""
    if column.choices:
        return str(dict(column.flatchoices).get(content, content) or EMPTY)
    return str(display_for_field(content, column, EMPTY))


def change_rows(changes: Iterable[Change]) -> list[tuple[Text, Text, Text, Text]]:
    """Return changes as (row, column, value before, value after), in words."""
    rows: list[tuple[Text, Text, Text, Text]] = []
    for change in changes:
        opts = change.model._meta  # noqa: SLF001
        column = cast("Field[Any, Any]", opts.get_field(change.column))
        row = f"{opts.verbose_name} {change.row[:8]}"
        rows.append((row, column.verbose_name, value(column, change.before), value(column, change.after)))
    return rows


def host_of(url: str) -> str:
    """Return the host of an address, or "" if it has none that can be read."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def pretty(value: Any) -> SafeString:
    """Return *value* as indented JSON.

    What is stored is redacted when it is written. Values whose keys look sensitive are masked all the same, so that
    a row that came from elsewhere shows nothing either.
    """
    text = json.dumps(_masked(value), indent=2, sort_keys=True, ensure_ascii=False, default=str)
    return format_html('<pre class="banking-json">{}</pre>', text)


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _hidden(inner) if _SENSITIVE_KEY.search(str(key)) else _masked(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_masked(inner) for inner in value]
    return value


def _hidden(value: Any) -> Any:
    return mask(value) if isinstance(value, str) else ELLIPSIS


def change_link(site: str, row: Model | None, text: Text) -> Text:
    """Return *text* as a link to the page of *row* in the admin site *site*; plain if it has none there."""
    if row is None:
        return EMPTY
    url = change_url(site, type(row), quote(row.pk))
    return format_html('<a href="{}">{}</a>', url, text) if url else text


def change_url(site: str, model: type[Model], key: object) -> str:
    """Return the address of a row's page in the admin site *site*, or "" if it has none there."""
    try:
        return admin_url(site, model, "change", key)
    except NoReverseMatch:
        return ""


def list_link(site: str, model: type[Model], text: Text, **filters: Any) -> Text:
    """Return *text* as a link to the list of *model*, filtered."""
    try:
        url = admin_url(site, model, "changelist")
    except NoReverseMatch:
        return text
    return format_html('<a href="{}?{}">{}</a>', url, urlencode(filters), text)


def admin_url(site: str, model: type[Model], page: str, *args: object) -> str:
    """Return the address of a page about *model* in the admin site *site*; raise `NoReverseMatch` without one."""
    return reverse(f"admin:{url_name(model, page)}", args=args, current_app=site)


def url_name(model: type[Model], page: str) -> str:
    """Return the name of a page about *model* within an admin site, as Django forms it."""
    opts = model._meta  # noqa: SLF001
    return f"{opts.app_label}_{opts.model_name}_{page}"
