"""The example project with django-unfold, whose own pages need inline scripts."""

from example_project import settings
from example_project.settings import *  # noqa: F403

INSTALLED_APPS = ["unfold", *settings.INSTALLED_APPS]
MIDDLEWARE = [name for name in settings.MIDDLEWARE if "content_security_policy" not in name]
