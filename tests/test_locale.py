"""The German catalogue: whole, compiled, and in the tone that customers are spoken to."""

from __future__ import annotations

import io
import re
import shutil
import tokenize
from collections.abc import Iterator
from gettext import GNUTranslations
from pathlib import Path
from typing import Any, Final

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.pofile import read_po
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth.models import User
from django.core.management import call_command
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation.template import templatize

import business_os_banking
from business_os_banking import vocabulary, wording
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.wording import Wording, texts

PACKAGE: Final = Path(business_os_banking.__file__).parent
FOLDER: Final = PACKAGE / "locale" / "de" / "LC_MESSAGES"
PO, MO = FOLDER / "django.po", FOLDER / "django.mo"
LANGUAGES: Final = ("en", "de")
_LAZY: Final = ("gettext", "ngettext", "pgettext", "npgettext")
_KEYWORDS: Final = {
    **DEFAULT_KEYWORDS,
    **{f"{name}_lazy": DEFAULT_KEYWORDS[name] for name in _LAZY},
    "gettext_noop": None,
}
# What stays as it is in German.
_SAME: Final = {"%(share)d %%", "Link", "API", "Bank", "Browser", "Status", "Webhook", "bank", "status"}
_PLACEHOLDER: Final = re.compile(r"%\(\w+\)[sd]|<[^>]+>")

Key = tuple[str, str]  # context and text; of a plural, the singular


def key_of(message: Message) -> Key:
    text = message.id if isinstance(message.id, str) else message.id[0]
    return message.context or "", text


def texts_of(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    with PO.open("rb") as file:
        return read_po(file, locale="de")


@pytest.fixture(scope="module")
def entries(catalog: Catalog) -> list[Message]:
    return [message for message in catalog if message.id]


def strings_of_the_source() -> Iterator[Key]:
    """Yield what the code and the templates mark for translation. Needs no gettext on the machine."""
    for file in sorted(PACKAGE.rglob("*")):
        if file.suffix == ".py":
            source = file.read_text(encoding="utf-8")
        elif file.suffix in {".html", ".txt"}:
            # Django turns a template into something like Python; without its indents it can be read as that.
            source = templatize(file.read_text(encoding="utf-8"))
            source = "\n".join(line.strip() for line in source.splitlines())
        else:
            continue
        found = extract("python", io.BytesIO(source.encode()), keywords=_KEYWORDS)
        try:
            for _line, message, _comments, context in found:
                yield context or "", texts_of(message)[0]
        except tokenize.TokenError as error:
            pytest.fail(f"{file.name} cannot be read for texts: {error}")


def test_every_text_of_the_source_is_in_the_catalogue_and_no_other(entries: list[Message]) -> None:
    assert set(strings_of_the_source()) == {key_of(entry) for entry in entries}


@pytest.mark.skipif(not shutil.which("xgettext"), reason="GNU gettext is not installed")
def test_makemessages_finds_nothing_new(entries: list[Message], tmp_path: Path, monkeypatch: Any) -> None:
    copy = tmp_path / "business_os_banking"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(copy)
    call_command("makemessages", locale=["de"], add_location="file", verbosity=0)
    with (copy / PO.relative_to(PACKAGE)).open("rb") as file:
        renewed = read_po(file, locale="de")
    assert {key_of(message) for message in renewed if message.id} == {key_of(entry) for entry in entries}
    assert not renewed.obsolete


def test_nothing_is_fuzzy_untranslated_or_obsolete(catalog: Catalog, entries: list[Message]) -> None:
    assert not catalog.obsolete
    assert not catalog.fuzzy
    for entry in entries:
        assert not entry.fuzzy, entry.id
        assert all(texts_of(entry.string)), entry.id


def test_the_compiled_catalogue_is_that_of_the_texts(entries: list[Message]) -> None:
    with MO.open("rb") as file:
        compiled: dict[Any, str] = vars(GNUTranslations(file))["_catalog"]
    expected: dict[Any, str] = {}
    for entry in entries:
        context, text = key_of(entry)
        text = f"{context}\x04{text}" if context else text
        forms = texts_of(entry.string)
        plural = {(text, number): form for number, form in enumerate(forms)}
        expected |= plural if entry.pluralizable else {text: forms[0]}
    assert {key: german for key, german in compiled.items() if key} == expected


def test_plurals_have_both_forms(catalog: Catalog, entries: list[Message]) -> None:
    assert (catalog.num_plurals, catalog.plural_expr.replace(" ", "")) == (2, "(n!=1)")
    for entry in entries:
        assert len(texts_of(entry.string)) == (2 if entry.pluralizable else 1), entry.id


def test_placeholders_and_markup_are_kept(entries: list[Message]) -> None:
    for entry in entries:
        for source, german in zip(texts_of(entry.id), texts_of(entry.string), strict=True):
            assert sorted(_PLACEHOLDER.findall(source)) == sorted(_PLACEHOLDER.findall(german)), entry.id


def test_german_is_german_and_formal(entries: list[Message]) -> None:
    for entry in entries:
        for german in texts_of(entry.string):
            assert not re.search(r"\b([Dd]u|[Dd]ich|[Dd]ir|[Dd]ein\w*|[Ee]uch|[Ee]uer)\b", german), german
            assert german not in texts_of(entry.id) or german in _SAME, german


def test_the_catalogue_names_no_machine_line_or_person() -> None:
    text = PO.read_text(encoding="utf-8")
    for line in re.findall(r"^#: (.*)$", text, re.MULTILINE):
        assert not re.search(r":\d|(^| )/|\.\.", line), line
    header = text.split("\n\n", 1)[0]
    assert "@" not in header
    assert "FULL NAME" not in header


def every_wording() -> dict[str, Wording]:
    found: dict[str, Wording] = {}
    for name, value in vars(wording).items():
        if isinstance(value, Wording):
            found[name] = value
        elif isinstance(value, dict):
            found |= {f"{name}[{key}]": item for key, item in value.items() if isinstance(item, Wording)}
    return found


@pytest.mark.parametrize("name", sorted(every_wording()))
def test_every_wording_has_title_text_and_next_step_in_each_language(name: str) -> None:
    found = every_wording()[name]
    said = {}
    for language in LANGUAGES:
        with translation.override(language):
            said[language] = [str(part) for part in (found.title, found.text, found.next_step)]
        assert all(said[language])
        assert not said[language][0].endswith(".")
        assert all(part.endswith(".") for part in said[language][1:])
    assert all(english != german for english, german in zip(said["en"], said["de"], strict=True))


def test_every_error_has_a_wording() -> None:
    assert set(texts.GROUPS) == set(vocabulary.Group)
    assert set(texts.REASONS) == set(vocabulary.StatusReason)
    assert set(texts.ENDED) == set(vocabulary.EndedBy)
    for error_class in [*vocabulary.KNOWN_CLASSES, "NeverHeardOf"]:
        assert wording.for_error(error_class).next_step


@pytest.fixture
def german(user: User) -> Client:
    client = Client(headers={"accept-language": "de-DE,de;q=0.9"})
    client.force_login(user)
    return client


def test_german_pages_are_german(german: Client, user: User) -> None:
    connection = BankingConnection.objects.create(user=user, status="active", provider_name="Sparkasse")
    session = ConnectSession.objects.create(connection=connection, status="failed")
    own, name = [connection.reference], "business_os_banking"
    pages = {
        reverse(f"{name}:connection-list"): "Ihre verbundenen Banken",
        reverse(f"{name}:connect"): "Was Sie freigeben",
        reverse(f"{name}:connection-detail", args=own): "Diese Bank ist verbunden",
        reverse(f"{name}:connection-renew", args=own): "Verbindung",
        reverse(f"{name}:connection-disconnect", args=own): "Was dann geschieht",
        reverse(f"{name}:return", args=[session.reference]): "Das hat diesmal nicht geklappt",
        reverse(f"{name}:return", args=own): "Wir können diesen Versuch nicht finden",
        "/sandbox/connect?token=none": "Dieser Link ist nicht bekannt",
    }
    for address, text in pages.items():
        html = german.get(address).content.decode()
        assert '<html lang="de" dir="ltr">' in html, address
        assert text in html, address


def test_the_mails_are_german(user: User) -> None:
    connection = BankingConnection(
        user=user, provider_name="Sparkasse", consent_expires_at=timezone.now(), consent_is_estimated=True
    )
    context = {"connection": connection, "days": 7, "renew_url": "https://site.example/renew/"}
    with translation.override("de"):
        parts = {
            name.removeprefix("consent_expiring"): render_to_string(
                f"business_os_banking/mail/{name}", context
            )
            for name in ("consent_expiring_subject.txt", "consent_expiring.txt", "consent_expiring.html")
        }
    assert parts["_subject.txt"].strip() == "Bitte erneuern Sie die Verbindung: Sparkasse"
    for body in (parts[".txt"], parts[".html"]):
        assert "Ihre Zustimmung zur Verbindung mit Sparkasse endet am" in body
        assert "Dieses Datum ist geschätzt" in body
        assert "https://site.example/renew/" in body
    assert '<html lang="de">' in parts[".html"]


def test_the_status_that_the_script_reads_is_german(german: Client, user: User) -> None:
    connection = BankingConnection.objects.create(user=user)
    session = ConnectSession.objects.create(connection=connection, status="open")
    address = reverse("business_os_banking:session-status", args=[session.reference])
    assert german.get(address).json()["title"] == "Wir fragen bei Ihrer Bank nach"


def test_every_column_that_the_admin_shows_has_a_name_to_translate() -> None:
    """Django makes up an English one for a column without."""
    for model, shown_by in admin.site._registry.items():
        if model._meta.app_label != "business_os_banking":
            continue
        names = {*flatten_fieldsets(shown_by.fieldsets or ()), *shown_by.list_display}
        for field in model._meta.concrete_fields:
            assert field.name not in names or isinstance(field.verbose_name, Promise), (
                f"{model}: {field.name}"
            )
