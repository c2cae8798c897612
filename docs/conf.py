"""Sphinx: ``python -m sphinx -W docs docs/_build``. Everything it needs is in the ``dev`` extra."""

from business_os_banking import __version__

project = "django-business-os-banking"
release = version = __version__
copyright = "the contributors, BSD 3-Clause"  # noqa: A001 - Sphinx's name for it

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sphinx = False
myst_heading_anchors = 3
