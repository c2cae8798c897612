"""A URLconf that cannot be imported."""

raise RuntimeError("a mistake of the site")
