"""What settings are, their kinds, their rules. Values come from outside: every test answers, whatever it is given."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name for it
from django.core.exceptions import ImproperlyConfigured

from business_os_banking.conf.secret import Secret

T = TypeVar("T")
Classes = Mapping[str, Sequence[str]]
SETTING: Final = "BUSINESS_OS_BANKING"
API_OPERATIONS: Final = ("list", "create", "detail", "renew", "disconnect", "answer", "session", "finish")
# Of days, hours, minutes or seconds. With much more, Python could not compute the time that is so long ago.
LARGEST: Final = 100_000


class Rule(NamedTuple):
    """What *holds* of what is used of a value, or of *each* of its items.

    If it does not, *text* says so behind the key, with ``{item}``, its ``{place}``, and ``{why}`` it raised, if it did.
    """

    number: str
    text: str
    holds: Callable[[Any], object]
    each: bool = False

    def breaches(self, used: Any) -> Iterator[str]:
        """Yield the text for all that breaks the rule."""
        items = {0: used} if not self.each else used if isinstance(used, Mapping) else dict(enumerate(used))
        for place, item in items.items():
            try:
                if item is None or self.holds(item):
                    continue
                why = ""
            except Exception as error:  # noqa: BLE001 - code that is imported may raise anything
                why = f"{type(error).__name__}: {error}".rstrip(".")
            yield self.text.format(item=item, place=place, why=why)


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What a value may be, what is made of it before it is used, and the rules for that.

    ``words`` follow "must be". A value is of one of ``types``, else it has the wrong type, and ``holds`` is true of it,
    else that is what the system check ``number`` says. ``parse`` reads a value from an environment variable or raises
    `ValueError`; without it there is no variable. ``example`` is what to type, if it is not the default.
    """

    words: str
    types: tuple[type, ...]
    holds: Callable[[Any], bool] = lambda _: True
    used: Callable[[Any], T] = lambda value: value
    parse: Callable[[str], Any] | None = None
    number: str = ""
    rules: tuple[Rule, ...] = ()
    example: str = ""

    def has_type(self, value: Any) -> bool:
        """Return whether *value* is of one of the types. For Python alone, True and False are numbers."""
        return isinstance(value, self.types) and (bool in self.types or not isinstance(value, bool))

    def fits(self, value: Any) -> bool:
        return self.has_type(value) and self.holds(value)

    def ruled(self, *rules: Rule, example: str = "") -> Self:
        return replace(self, rules=rules, example=example)


class Setting(Generic[T]):
    """One setting. As an attribute of an object it is the live value, typed, or raises `ImproperlyConfigured`.

    Its methods take the alias of an account, or `None` for the whole site.
    """

    def __init__(self, kind: Kind[T], default: Any, meaning: str) -> None:
        self.kind, self.default, self.meaning, self.name = kind, default, meaning, ""

    def __set_name__(self, owner: object, name: str) -> None:
        self.name = name.upper()

    def __get__(self, instance: object, owner: object) -> T:
        value = site().get(self.name, self.default)
        if self.kind.rules or not self.kind.fits(value):
            del value  # Reports of errors show local variables, and this may be all accounts.
            raise_first(self.problems(site().get(self.name, self.default)))
            value = site().get(self.name, self.default)
        return self.kind.used(value)

    def key(self, alias: str | None = None) -> str:
        """Return how the setting is written in a site's settings."""
        account = "" if alias is None else f'["ACCOUNTS"]["{alias}"]'
        return f'{SETTING}{account}["{self.name}"]'

    def problem(self, number: str, text: str, alias: str | None = None) -> CheckMessage:
        """Return the problem that *text* tells of behind the key, with a hint at what to type."""
        example = self.kind.example or repr(self.default).replace("'", '"')
        where = f" (in the environment: {variable_name(alias, self.name)})" if self.kind.parse else ""
        return problem(number, f"{self.key(alias)}{text}.", f'Write "{self.name}": {example}{where}.')

    def problems(self, value: Any, alias: str | None = None, *more: Rule) -> Iterator[CheckMessage]:
        """Yield what is wrong with a raw value: its kind, or the first of its rules, and of *more*, that it breaks."""
        wrong_type = "E004" if alias is None else "E014"
        if not self.kind.has_type(value):
            text = f" must be {self.kind.words}, not {type(value).__name__}"
            yield self.problem(wrong_type, text, alias)
        elif not self.kind.holds(value):
            yield self.problem(self.kind.number or wrong_type, f" must be {self.kind.words}", alias)
        else:
            for rule in (*self.kind.rules, *more):
                if texts := list(rule.breaches(self.kind.used(value))):
                    yield from (self.problem(rule.number, text, alias) for text in texts)
                    break


def problem(number: str, text: str, hint: str) -> CheckMessage:
    """Return an error (E…) or a warning (W…) of the system checks."""
    return (Error if number < "F" else Warning)(text, hint=hint, id=f"business_os_banking.{number}")


def raise_first(problems: Iterable[CheckMessage]) -> None:
    for first in problems:
        raise ImproperlyConfigured(f"{first.msg} {first.hint}")


def site_problems() -> Iterator[CheckMessage]:
    """Yield what is wrong with the dict as a whole."""
    value = getattr(django_settings, SETTING, None)
    hint = f"Write {SETTING} = banking_settings(), from business_os_banking.env, or a dict."
    if value is None:
        yield problem("E001", f"The setting {SETTING} is missing.", hint)
    elif not isinstance(value, Mapping):
        yield problem("E002", f"{SETTING} must be a dict, not {type(value).__name__}.", hint)


def site() -> Mapping[str, Any]:
    """Return the site's dict."""
    if not isinstance(getattr(django_settings, SETTING, None), Mapping):
        raise_first(site_problems())
    values: Mapping[str, Any] = getattr(django_settings, SETTING)
    return values


def variable_name(alias: str | None, key: str) -> str:
    """Return the environment variable for a key of the site (`None`), or of an account."""
    infix = "" if alias in {None, "default"} else f"{alias}_".upper().replace("-", "_")
    return f"BUSINESS_OS_{infix}{key}"


def split(text: str) -> list[str]:
    """Return the items of a list with commas. Blanks around these are a slip, and would become part of a secret."""
    return [item.strip() for item in text.split(",") if item.strip()]


def _are_texts(items: Any) -> bool:
    return all(isinstance(item, str) for item in items or ())


def _non_empty(items: Any) -> tuple[str, ...]:
    return tuple(item for item in items or () if item)


def _are_secrets(items: Any) -> bool:
    return all(isinstance(item, str | Secret) for item in items or ())


def _secrets(items: Any) -> tuple[Secret, ...]:
    return tuple(map(Secret, _non_empty(items)))


def _is_in_range(value: Any) -> bool:
    return value is None or 0 < value <= LARGEST


def _pair(value: Any) -> Any:
    items = tuple(value) if isinstance(value, list | tuple) else (value,)
    return items * 2 if len(items) == 1 else items


def _is_pair(value: Any) -> bool:
    return len(_pair(value)) == 2 and all(map(NUMBER.fits, _pair(value)))


def _are_pairs(items: Any) -> bool:
    return all(isinstance(item, list | tuple) and len(item) == 2 and _are_texts(item) for item in items)


def _by_operation(value: Any) -> Classes:
    return (value or {}) if isinstance(value, Mapping | None) else dict.fromkeys(API_OPERATIONS, value)


def _are_classes(value: Any) -> bool:
    lists = _by_operation(value)
    return set(lists) <= set(API_OPERATIONS) and all(map(TEXTS.fits, lists.values()))


_LIST: Final = (list, tuple)
_RANGE: Final = f"above 0, and {LARGEST} at most"
_PAIR: Final = f"the seconds to connect and the seconds to answer, each {_RANGE}"
_CLASSES: Final = "a list of dotted paths, or a dict of such lists by operation"

TEXT: Final = Kind[str]("a text", (str,), parse=str)
TEXTS: Final = Kind[tuple[str, ...]]("a list of texts", _LIST, _are_texts, _non_empty, split)
# None is what a variable that is not set leaves behind: os.environ.get("…").
SECRET: Final = Kind[Secret](
    "a text", (str, Secret, NoneType), used=lambda text: Secret(text or ""), parse=str
)
SECRETS: Final = Kind[tuple[Secret, ...]](
    "a list of texts", (*_LIST, NoneType), _are_secrets, _secrets, split
)
BASE: Final = Kind[str]("a text", (str,), used=lambda text: text.rstrip("/"), parse=str)
ORIGIN: Final = Kind[str | None](
    "a text or None", (str, NoneType), used=lambda text: text.rstrip("/") if text else None, parse=str
)
TEXT_MAP: Final = Kind[Mapping[str, str]](
    "a dict of texts", (Mapping,), lambda texts: _are_texts([*texts, *texts.values()])
)
PAIRS: Final = Kind[tuple[tuple[str, ...], ...]](
    "a list of pairs of texts", _LIST, _are_pairs, lambda pairs: tuple(map(tuple, pairs))
)
SWITCH: Final = Kind[bool]("True or False", (bool,))
COUNT: Final = Kind[int]("a whole number, 0 or more", (int,), lambda value: value >= 0)
_DAY: Final = Kind[int]("a day", (int,), _is_in_range)
WHOLE: Final = Kind[int]("a whole number above 0", (int,), lambda value: value > 0, number="E005")
NUMBER: Final = Kind[float](f"a number {_RANGE}", (int, float), _is_in_range, number="E005")
NUMBER_OR_NONE: Final = Kind[float | None](
    f"None, or a number {_RANGE}", (int, float, NoneType), _is_in_range, number="E005"
)
DAYS: Final = Kind[tuple[int, ...]](
    f"a list of whole days {_RANGE}", _LIST, lambda days: all(map(_DAY.fits, days)), tuple
)
SECONDS: Final = Kind[tuple[float, float]](
    _PAIR, (int, float, *_LIST), _is_pair, _pair, lambda text: tuple(map(float, split(text))), "E025"
)
API_CLASSES: Final = Kind[Classes](_CLASSES, (*_LIST, Mapping, NoneType), _are_classes, _by_operation)
ACCOUNTS: Final = Kind[Mapping[str, Mapping[str, Any]]](
    "a dict of dicts, by alias", (Mapping,), parse=lambda text: {alias: {} for alias in split(text)}
)
