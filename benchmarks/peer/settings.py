"""dj-stripe as its own documentation sets it up, in an environment of its own."""

import environ

env = environ.Env()

SECRET_KEY = "benchmarks"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
ROOT_URLCONF = "benchmarks.peer.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {**env.db("DATABASE_URL"), "CONN_MAX_AGE": None}}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "djstripe",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
STRIPE_LIVE_MODE = False
STRIPE_TEST_SECRET_KEY = "sk_test_000000000000000000000000"  # nobody is asked for anything with it
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
# Verified and kept, and then nothing is done with it.
DJSTRIPE_WEBHOOK_EVENT_CALLBACK = "benchmarks.peer.urls.nothing"
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "ERROR"}}
