"""Settings of the example project; every variable is explained in ``.env.example``.

Without BUSINESS_OS_API_KEY it is a demo: the sandbox bank runs inside the site itself, and nothing leaves the
machine. With a key the sandbox is neither installed nor mounted.
"""

import base64
import hashlib
import secrets
import sys
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from business_os_banking.env import banking_settings

PROJECT = Path(__file__).resolve().parent
VAR = PROJECT / "var"

env = environ.Env()
# Variables that are set win over the file.
env.read_env(PROJECT.parent / ".env")

# Tests have the kit, and so neither a sandbox nor a key, whatever the environment holds.
TESTING = "test" in sys.argv[1:2]
SANDBOX = not TESTING and not env.str("BUSINESS_OS_API_KEY", default="")
# Without a key this can only be a demo, on somebody's own machine.
DEBUG = env.bool("DEBUG", default=SANDBOX or TESTING)
PORT = env.int("PORT", default=8000)
# How often the demo's server runs banking_reconcile; 0: never.
RECONCILE_SECONDS = env.float("RECONCILE_SECONDS", default=30.0)
# Which of its two designs the site has: its own, or with LOOK=bootstrap one made with Bootstrap.
LOOKS = [PROJECT / "bootstrap"] if env.str("LOOK", default="") == "bootstrap" else []


def _secret_key() -> str:
    """Return SECRET_KEY, or for a demo one that is drawn once per checkout and kept in a file."""
    if key := str(env.str("SECRET_KEY", default="")):
        return key
    if not DEBUG:
        raise ImproperlyConfigured("Set the environment variable SECRET_KEY (see .env.example).")
    kept = VAR / "secret_key"
    try:
        with kept.open("x", encoding="ascii") as file:
            kept.chmod(0o600)
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    return kept.read_text(encoding="ascii")


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "example_project.books",
    "business_os_banking",
    *(["business_os_banking.sandbox"] if SANDBOX else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "example_project.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Everything needs a login but for what says otherwise, as the app's webhook and return page do.
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Before the apps' own: this is how a site replaces templates of the banking app.
        "DIRS": [*(look / "templates" for look in LOOKS), PROJECT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{VAR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A writer waits for its turn instead of failing, and readers never wait for a writer.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
        "timeout": 20,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "login"
SITE_ID = 1

LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")
TIME_ZONE = env.str("TIME_ZONE", default="Europe/Berlin")
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [*(look / "static" for look in LOOKS), PROJECT / "static"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "loggers": {
        "business_os_banking": {"handlers": ["console"], "level": "INFO"},
        "example_project": {"handlers": ["console"], "level": "INFO"},
        # Of the requests that runserver answers, only those that went wrong.
        "django.server": {"level": "WARNING"},
    },
}

if SANDBOX:
    # Both sides of the demo know the same secret, in the form that Standard Webhooks asks for.
    _WEBHOOK_SECRET = (
        "whsec_" + base64.b64encode(hashlib.sha256(f"webhook:{SECRET_KEY}".encode()).digest()).decode()
    )
    _ORIGIN = f"http://127.0.0.1:{PORT}"
    BUSINESS_OS_BANKING = {
        "ACCOUNTS": {
            "default": {
                "API_KEY": "sandbox",
                "WEBHOOK_SECRETS": [_WEBHOOK_SECRET],
                "BASE_URL": f"{_ORIGIN}/sandbox",
                "CONNECT_URL_HOSTS": ["127.0.0.1", "localhost"],
            }
        }
    }
    BUSINESS_OS_SANDBOX = {
        "API_KEYS": ["sandbox"],
        "WEBHOOK_SECRET": _WEBHOOK_SECRET,
        "WEBHOOK_SIGNING": "standard_webhooks",
    }
elif TESTING:
    BUSINESS_OS_BANKING = {
        "ACCOUNTS": {"default": {"API_KEY": "test-key", "WEBHOOK_SECRETS": ["secret-of-the-tests"]}}
    }
else:
    BUSINESS_OS_BANKING = banking_settings(env)
