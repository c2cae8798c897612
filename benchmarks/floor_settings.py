"""The same site, with the floor's view in place of the app's."""

from benchmarks.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.floor"
