"""The suite's site with drf-spectacular, as its own documentation says to set it up."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as SUITE_APPS

INSTALLED_APPS = [*SUITE_APPS, "drf_spectacular"]
ROOT_URLCONF = "tests.api.urls"
REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Bank connections",
    "DESCRIPTION": "The REST API of django-business-os-banking. `/banking/` is the prefix that a site chooses.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
}
