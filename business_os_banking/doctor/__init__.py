"""Finds mistakes in the set-up of a site: each has a code, and says why it matters and what to type."""
