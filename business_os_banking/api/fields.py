"""Serializer fields that are strict about what comes in, whatever the site's settings are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from enum import StrEnum
from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from rest_framework import ISO_8601, serializers

TONES: Final = ("good", "waiting", "warning", "bad")


class Word(serializers.ChoiceField):
    """One of several words; *name* is what the schema calls their enumeration. An empty one goes out as ``null``."""

    def __init__(self, words: Iterable[str], name: str, **kwargs: Any) -> None:
        self.name = name
        super().__init__(choices=[str(word) for word in words], **kwargs)

    def get_attribute(self, instance: Any) -> Any:
        return super().get_attribute(instance) or None

    def to_internal_value(self, data: Any) -> Any:
        # Django REST framework would accept a number whose text is one of the choices.
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return super().to_internal_value(data)


class Vocabulary(Word):
    """A `Word` of one of our own enumerations, under the name of that class."""

    def __init__(self, words: type[StrEnum], **kwargs: Any) -> None:
        super().__init__([word.value for word in words], words.__name__, **kwargs)


class WordingText(serializers.CharField):
    """One text (*part*) of the `Wording` that the serializer's method ``words`` returns for the row."""

    def __init__(self, part: str, **kwargs: Any) -> None:
        self.part = part
        super().__init__(read_only=True, **kwargs)

    def get_attribute(self, instance: Any) -> Any:
        parent: Any = self.parent
        return getattr(parent.words(instance), self.part)


class Tone(Word):
    """The tone of that `Wording`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(TONES, "Tone", read_only=True, **kwargs)

    def get_attribute(self, instance: Any) -> Any:
        parent: Any = self.parent
        return parent.words(instance).tone


class Moment(serializers.DateTimeField):
    """A time: ISO 8601 in UTC, whatever the site's ``TIME_ZONE`` and ``DATETIME_FORMAT`` are."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format=ISO_8601, input_formats=[ISO_8601], default_timezone=UTC, **kwargs)


class Text(serializers.CharField):
    """A string as it is: a number is refused, and blanks are kept."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data) if isinstance(data, str) else self.fail("invalid")


class Mail(Text, serializers.EmailField):
    """An address. Blanks around it come with pasting, and are dropped."""

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data.strip() if isinstance(data, str) else data)


class Switch(serializers.BooleanField):
    """``true`` or ``false`` in a query string, and no other spelling."""

    default_error_messages = {"invalid": _("Write true or false.")}

    def to_internal_value(self, data: Any) -> bool:
        values = {"true": True, "false": False}
        return values[data] if data in values else self.fail("invalid", input=data)
