"""A site with users of its own, and without Django's admin and permissions."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as ALL

INSTALLED_APPS = [*(name for name in ALL if name != "django.contrib.admin"), "tests.web.people"]
AUTH_USER_MODEL = "people.Person"
