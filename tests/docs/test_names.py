"""Names and defaults in the tables are those of the code, all of them and no others."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections import defaultdict
from enum import StrEnum
from typing import Any

import environ
import pytest
from django.dispatch import Signal
from django.template import engines
from django.urls import URLResolver, get_resolver
from django.utils import timezone

from business_os_banking import conf, env, signals, urls, vocabulary
from business_os_banking.adapter import BankingAdapter
from business_os_banking.conf import table as settings_table
from business_os_banking.sandbox import conf as sandbox_conf
from business_os_banking.sandbox import simulate
from business_os_banking.sandbox.scenarios import SCENARIOS
from business_os_banking.templatetags.business_os_banking import register
from business_os_banking.upstream import values
from business_os_banking.webhooks import body as bodies
from business_os_banking.webhooks import payloads, verifiers
from tests.docs.pages import PAGES, ROOT, column, names, table, text
from tests.docs.test_samples import CONTEXTS

PACKAGE = ROOT / "business_os_banking"
TEMPLATES = PACKAGE / "templates" / "business_os_banking"
ENUMS: list[tuple[str, type[StrEnum]]] = [
    ("session-status", vocabulary.SessionStatus),
    ("connection-status", vocabulary.ConnectionStatus),
    ("status-reasons", vocabulary.StatusReason),
    ("ended-by", vocabulary.EndedBy),
    ("kinds", vocabulary.Kind),
    ("sources", vocabulary.Source),
    ("outcomes", vocabulary.Outcome),
    ("groups", vocabulary.Group),
]
SETTINGS = [("account-settings", settings_table.ACCOUNT), ("site-settings", settings_table.SITE)]


def default_in_words(value: Any) -> str:
    if value == "":
        return "empty"
    is_words = isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if value and (isinstance(value, list) or is_words):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{value}`"


@pytest.mark.parametrize(("name", "words"), ENUMS, ids=[name for name, _words in ENUMS])
def test_concepts_name_every_word(name: str, words: type[StrEnum]) -> None:
    assert column("concepts.md", name) == [word.value for word in words]


def settings_in_words() -> dict[str, list[str]]:
    """Return what stands beside each setting in a table: its default, its variable, and what it is for."""
    settings = [(None, settings_table.SITE), ("default", settings_table.ACCOUNT)]
    return {
        name: [
            default_in_words(setting.default),
            f"`{conf.variable_name(alias, name)}`" if setting.kind.parse else "",
            setting.meaning,
        ]
        for alias, some in settings
        for name, setting in some.items()
    }


@pytest.mark.parametrize(("name", "defaults"), SETTINGS, ids=["account", "site"])
def test_settings_are_all_there_with_default_and_variable(name: str, defaults: dict[str, Any]) -> None:
    rows = {row[0].strip("`"): row[1:3] for row in table("settings.md", name)}
    assert list(rows) == list(defaults)
    words = settings_in_words()
    for key, (default, variable) in rows.items():
        assert variable == words[key][1], key
        assert default == words[key][0] or key == "WEBHOOK_VERIFIERS", key


def test_the_tables_of_the_readme_are_those_of_the_code() -> None:
    rows = re.findall(
        r"^\| `([A-Z_]+)` \|(.*)\|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    told = {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}
    words = settings_in_words()
    words["WEBHOOK_VERIFIERS"][0] = "the three above"
    assert list(told) == [*settings_table.ACCOUNT, *settings_table.SITE]
    assert told == words


def test_the_example_of_an_environment_has_variables_and_defaults_of_the_code() -> None:
    text_of_file = (ROOT / ".env.example").read_text(encoding="utf-8")
    for variable, value in re.findall(r"^(BUSINESS_OS_\w+)=(.*)$", text_of_file, re.MULTILINE):
        name = variable.removeprefix("BUSINESS_OS_")
        setting = {**settings_table.SITE, **settings_table.ACCOUNT}[name]
        assert setting.kind.parse, name
        assert setting.kind.used(setting.kind.parse(value)) == setting.kind.used(setting.default), name


def test_variables_set_what_they_stand_beside() -> None:
    values = {"TIMEOUT": "1,2"}
    rows = [*table("settings.md", "account-settings"), *table("settings.md", "site-settings")]
    variables = {row[0].strip("`"): row[2].strip("`") for row in rows}
    source = environ.Env()
    source.ENVIRON = {variable: values.get(key, "one,two") for key, variable in variables.items() if variable}
    made = env.banking_settings(source)
    source.ENVIRON["BUSINESS_OS_ACCOUNTS"] = "default"
    default = env.banking_settings(source)["ACCOUNTS"]["default"]
    assert set(made["ACCOUNTS"]) == {"one", "two"}
    assert set(made) | set(default) == {key for key, variable in variables.items() if variable}


def test_every_check_is_explained() -> None:
    ids = {
        number
        for room in ("checks", "conf")
        for path in (PACKAGE / room).glob("*.py")
        for number in re.findall(r'"([EW]\d{3})"', path.read_text(encoding="utf-8"))
    }
    assert column("checks.md", "checks") == sorted(ids)
    sandbox = (PACKAGE / "sandbox" / "checks.py").read_text(encoding="utf-8")
    found = set(re.findall(r"_LABEL\}\.([EW]\d{3})", sandbox))
    assert column("checks.md", "sandbox-checks") == sorted(found)


def test_every_verifier_is_named() -> None:
    own = [
        name
        for name, item in vars(verifiers).items()
        if isinstance(item, type) and issubclass(item, verifiers.Verifier) and item is not verifiers.Verifier
    ]
    assert column("webhook.md", "verifiers") == own


def test_every_answer_of_the_webhook_is_named() -> None:
    tree = ast.parse((PACKAGE / "webhooks" / "views.py").read_text(encoding="utf-8"))
    numbers = {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) is int
    }
    used = {str(number) for number in numbers if number in range(200, 600)} | {
        "405"
    }  # HttpResponseNotAllowed
    assert set(column("webhook.md", "answers")) == used


def test_the_limits_of_what_is_read_are_those_of_the_code() -> None:
    limits = [int(row[1]) for row in table("webhook.md", "limits") if row[1]]
    assert limits == [bodies.MAX_KEYS, values.MAX_NESTING, sys.int_info.default_max_str_digits]
    page = text("webhook.md")
    assert f"{verifiers.HEADER_MAX_LENGTH:,} characters" in page
    assert f"{verifiers.MAX_SIGNATURES} signatures" in page


def test_what_is_kept_of_a_body_is_named() -> None:
    """A word under each name that is read anywhere in the code: those that are kept are those of the table."""
    source = (PACKAGE / "webhooks" / "payloads.py").read_text(encoding="utf-8")
    everything = sorted(set(re.findall(r'"([a-z_]+)"', source)))
    body = json.dumps({"data": dict.fromkeys(everything, "a-word")}).encode()
    delivery = verifiers.Delivery(body=body, headers={}, received_at=timezone.now())
    kept = payloads.read(delivery, "default").payload
    assert set(column("webhook.md", "kept")) == set(kept), kept


def test_every_signal_is_named() -> None:
    declared = [name for name, item in vars(signals).items() if isinstance(item, Signal)]
    assert column("signals.md", "signals") == declared


def test_every_hook_is_named_with_its_arguments() -> None:
    hooks = {}
    for name, hook in inspect.getmembers(BankingAdapter, inspect.isfunction):
        if not name.startswith("_"):
            parameters = [parameter.replace(annotation=parameter.empty) for parameter in _parameters(hook)]
            hooks[name] = f"{name}({', '.join(map(str, parameters))})"
    headings = re.findall(r"^### `(.+)`$", text("adapter.md"), re.MULTILINE)
    assert sorted(headings) == sorted(hooks.values())


def _parameters(hook: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(hook).parameters.values())[1:]


def test_every_template_is_named() -> None:
    named = [*column("templates.md", "pages"), *column("templates.md", "partials"), "base.html"]
    assert sorted(named) == sorted(path.name for path in TEMPLATES.glob("*.html"))


def test_the_context_of_every_page_is_named() -> None:
    given: dict[str, set[str]] = defaultdict(set)
    for path in (PACKAGE / "web").glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                given_to, keywords = _page_of(call)
                given[given_to] |= keywords
    for template, context in table("templates.md", "pages"):
        assert names(context) == given[template.strip("`")], template


def _page_of(call: ast.Call) -> tuple[str, set[str]]:
    keywords = {keyword.arg for keyword in call.keywords if keyword.arg} - {"status"}
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    if name == "error_page":
        return "error.html", keywords
    constants = [item.value for item in call.args if isinstance(item, ast.Constant)]
    return (str(constants[0]) if name == "page" and constants else ""), keywords


def test_the_context_of_every_partial_is_used_there() -> None:
    for partial, context in table("templates.md", "partials"):
        source = (TEMPLATES / partial.strip("`")).read_text(encoding="utf-8")
        for name in names(context) - {"account", "connection"}:
            assert re.search(rf"\b{name}\b", source), (partial, name)


def test_every_mail_is_named_with_its_context() -> None:
    assert sorted(column("templates.md", "mails")) == sorted(path.name for path in TEMPLATES.glob("mail/*"))
    mail = (PACKAGE / "mail.py").read_text(encoding="utf-8")
    given = re.findall(r"(\w+)=(?:days|url|f\")", mail)
    assert set(given) == {"days", "renew_url", "answer_url"}
    assert "All of them are given `connection`" in text("templates.md")
    assert all(f"`{name}`" in text("templates.md") for name in given)


def test_every_block_is_named() -> None:
    texts = [(TEMPLATES / name).read_text(encoding="utf-8") for name in ("base.html", "_page.html")]
    named = re.findall(r"{% block (\w+) %}", "".join(texts))
    assert column("templates.md", "blocks") == list(dict.fromkeys(named))


def test_every_custom_property_is_named() -> None:
    css = (PACKAGE / "static" / "business_os_banking" / "banking.css").read_text(encoding="utf-8")
    root = css[css.index(":where(:root) {") : css.index("}", css.index(":where(:root) {"))]
    assert column("templates.md", "properties") == re.findall(r"^\s+(--[a-z-]+):", root, re.MULTILINE)


def test_every_tag_is_named() -> None:
    assert sorted(column("templates.md", "tags")) == sorted(register.tags)
    assert "business_os_banking" in engines["django"].engine.template_libraries  # type: ignore[attr-defined]


def test_every_address_is_named() -> None:
    rows = [*table("templates.md", "urls"), *table("api.md", "api-urls")]
    assert {name.strip("`"): path.strip("`") for name, path, _text in rows} == _addresses(urls.urlpatterns)
    assert get_resolver("tests.urls").namespace_dict["business_os_banking"][0] == "banking/"


def _addresses(patterns: Any, namespace: str = "", prefix: str = "") -> dict[str, str]:
    """Return paths by name. Of several with one name, the first counts; what has none cannot be linked to."""
    known: dict[str, str] = {}
    for pattern in patterns:
        # For who writes one, a secret is a text like any other.
        path = f"{prefix}{pattern.pattern}".replace("<banking_secret:", "<str:")
        if isinstance(pattern, URLResolver):
            known |= _addresses(pattern.url_patterns, f"{namespace}{pattern.namespace}:", path)
        elif pattern.name:
            known.setdefault(f"{namespace}{pattern.name}", path)
    return known


def test_the_sandbox_is_described_as_it_is() -> None:
    rows = {row[0].strip("`"): row[1] for row in table("sandbox.md", "sandbox-settings")}
    assert rows == {key: default_in_words(default) for key, (_kind, default) in sandbox_conf.KEYS.items()}
    banks = {row[0].strip("`"): row[1] for row in table("sandbox.md", "scenarios")}
    assert banks == {slug: scenario.bank for slug, scenario in SCENARIOS.items()}
    assert set(re.findall(r"simulate\.(\w+)\(", text("sandbox.md"))) == set(simulate.__all__)


def test_settings_that_pages_name_exist() -> None:
    known = {*settings_table.SITE, *settings_table.ACCOUNT}
    for row in table("upstream.md", "upstream"):
        assert {name for name in names(row[2]) if name.isupper()} <= known
    for page in PAGES:
        for name in re.findall(r"`BUSINESS_OS_([A-Z_]+)`", text(page.name)):
            # BERLIN is the alias of the example.
            assert name.removeprefix("BERLIN_") in {*known, "BANKING", "SANDBOX"}, page.name


def test_contexts_of_samples_are_explained() -> None:
    explained = [name.removeprefix("% context: ") for name in column("contributing.md", "contexts")]
    assert sorted(explained) == sorted(CONTEXTS)
