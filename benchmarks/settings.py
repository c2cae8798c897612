"""A small site for the benchmarks, with nothing in it but the app and what the app needs."""

import environ

from benchmarks.deliveries import SECRET

env = environ.Env()

SECRET_KEY = "benchmarks"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
USE_TZ = True
ROOT_URLCONF = "benchmarks.urls"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {**env.db("DATABASE_URL"), "CONN_MAX_AGE": None}}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # As docs/operations.md says.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
        "timeout": 20,
    }
if env.bool("BENCHMARK_PREPARED", default=False):
    DATABASES["default"]["OPTIONS"] = {"server_side_binding": True, "prepare_threshold": 3}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "business_os_banking",
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
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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

BUSINESS_OS_BANKING = {
    "ACCOUNTS": {
        "default": {
            "API_KEY": "benchmarks",
            "WEBHOOK_SECRETS": [SECRET],
            "WEBHOOK_VERIFIERS": ["business_os_banking.webhooks.verifiers.StandardWebhooks"],
            "BASE_URL": env.str("BENCHMARK_UPSTREAM", default="http://127.0.0.1:9"),
            "CONNECT_URL_HOSTS": ["127.0.0.1"],
        }
    },
    "SITE_URL": "https://site.example",
    "CONNECTS_PER_HOUR": 0,
    "REJECTED_WEBHOOKS_PER_MINUTE": 0,
}
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "ERROR"}}
