"""A site's own settings must never make a migration appear in our package."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command


@pytest.mark.django_db
@pytest.mark.parametrize("default", ["django.db.models.AutoField", "django.db.models.BigAutoField"])
def test_no_change_is_found_under_either_default_auto_field(settings: Any, default: str) -> None:
    settings.DEFAULT_AUTO_FIELD = default
    call_command(
        "makemigrations", "business_os_banking", "business_os_banking_sandbox", check=True, dry_run=True
    )


def test_keys_are_pinned() -> None:
    for label in ("business_os_banking", "business_os_banking_sandbox"):
        for model in apps.get_app_config(label).get_models():
            assert model._meta.pk.__class__.__name__ == "BigAutoField"
