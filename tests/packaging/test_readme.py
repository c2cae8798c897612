"""What the README says must be so."""

import re

import pytest

from business_os_banking import signals
from business_os_banking.adapter import BankingAdapter
from business_os_banking.conf import table
from tests.packaging.conftest import ROOT, readme_block

README = (ROOT / "README.md").read_text(encoding="utf-8")
# Keys of the settings tables, with what stands in the column beside them.
ROWS = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", README, re.MULTILINE))


def test_the_tables_name_every_setting_and_no_other() -> None:
    assert set(ROWS) == {*table.ACCOUNT, *table.SITE}


@pytest.mark.parametrize("key", sorted({*table.ACCOUNT, *table.SITE} - {"WEBHOOK_VERIFIERS"}))
def test_the_tables_give_the_default(key: str) -> None:
    default = {**table.ACCOUNT, **table.SITE}[key].default
    if default == "":
        expected = "empty"
    elif isinstance(default, list) and default:
        expected = ", ".join(f"`{item}`" for item in default)
    else:
        expected = f"`{default}`"
    assert ROWS[key] == expected


def test_every_hook_and_every_signal_is_named() -> None:
    hooks = [name for name in vars(BankingAdapter) if not name.startswith("_")]
    for name in [*hooks, *signals.BY_NAME, "webhook_rejected"]:
        assert f"`{name}`" in README, name


def test_setting_a_site_up_takes_ten_lines() -> None:
    blocks = [readme_block(name) for name in ("install", "settings.py", "urls.py", "shell")]
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    assert len(lines) <= 10


def test_links_lead_to_files() -> None:
    # The picture is made by the browser tests.
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith(("https:", "docs/images/")):
            assert (ROOT / target).exists(), target
