"""dj-stripe as its own documentation sets it up, in an environment of its own, on an otherwise equal site."""

from benchmarks import settings
from benchmarks.settings import *  # noqa: F403

INSTALLED_APPS = [*(app for app in settings.INSTALLED_APPS if app != "business_os_banking"), "djstripe"]
ROOT_URLCONF = "benchmarks.peer.urls"
STRIPE_LIVE_MODE = False
STRIPE_TEST_SECRET_KEY = "sk_test_000000000000000000000000"  # nobody is asked for anything with it
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
# Verified and kept, and then nothing is done with it.
DJSTRIPE_WEBHOOK_EVENT_CALLBACK: str | None = "benchmarks.peer.urls.nothing"
