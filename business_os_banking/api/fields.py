"""Kinds of fields: strict about what comes in, plain about what goes out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from enum import StrEnum
from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from rest_framework import ISO_8601, serializers

TONES: Final = ("good", "waiting", "warning", "bad")


class Word(serializers.ChoiceField):
    """One word of a vocabulary, which the schema knows by *name*; going out, none is ``null``."""

    def __init__(self, words: Iterable[str], name: str, **kwargs: Any) -> None:
        self.name = name
        super().__init__(choices=[str(word) for word in words], **kwargs)

    def get_attribute(self, instance: Any) -> Any:
        return super().get_attribute(instance) or None

    def to_internal_value(self, data: Any) -> Any:
        # Django REST framework would compare the text of a number, too.
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return super().to_internal_value(data)


class Vocabulary(Word):
    """A `Word` of one of our own enumerations, by whose name the schema knows it."""

    def __init__(self, words: type[StrEnum], **kwargs: Any) -> None:
        super().__init__([word.value for word in words], words.__name__, **kwargs)


class Told(serializers.CharField):
    """A text of the wording that the serializer's ``words`` has for the row."""

    def __init__(self, part: str, **kwargs: Any) -> None:
        self.part = part
        super().__init__(read_only=True, **kwargs)

    def get_attribute(self, instance: Any) -> Any:
        parent: Any = self.parent
        return getattr(parent.words(instance), self.part)


class Tone(Word):
    """The tone of that wording."""

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
    """A text and nothing that only looks like one: no number is taken for it, and blanks count."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data) if isinstance(data, str) else self.fail("invalid")


class Mail(Text, serializers.EmailField):
    pass


class Switch(serializers.BooleanField):
    """``true`` or ``false`` in an address, and no other way to say it."""

    default_error_messages = {"invalid": _("Write true or false.")}

    def to_internal_value(self, data: Any) -> bool:
        known = {"true": True, "false": False}
        return known[data] if data in known else self.fail("invalid", input=data)
