"""Sphinx: ``python -m sphinx -W docs docs/_build``. Everything it needs is in the ``dev`` extra."""

import django
from django.conf import settings

from business_os_banking import __version__

# For the page on the public API, which is made from the docstrings.
settings.configure(
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "business_os_banking",
        "business_os_banking.sandbox",
    ],
    ROOT_URLCONF="business_os_banking.urls",
    SECRET_KEY="only for building these pages",
    USE_TZ=True,
)
django.setup()

project = "django-business-os-banking"
release = version = __version__
copyright = "the contributors, BSD 3-Clause"  # noqa: A001 - Sphinx's name for it

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sphinx = False
myst_heading_anchors = 3
autodoc_member_order = "bysource"
toc_object_entries = False
