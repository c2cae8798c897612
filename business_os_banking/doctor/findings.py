"""Everything that the doctor can find: the severity of each fault, why it matters, and how it is mended.

What was seen stands where it is examined; `finding` puts both together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from django.utils.translation import gettext_noop

from business_os_banking.flows import silence
from business_os_banking.vocabulary import Silence

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong. All texts are English, for operators, and hold neither secrets nor personal data.

    ``code`` is stable; ``account`` is an alias, or ``""`` for the whole site; ``fix`` says what to type.
    """

    code: str
    severity: Severity
    account: str = ""
    what: str
    why: str
    fix: str


class Advice(NamedTuple):
    """What is known of a fault beforehand. ``fix`` may have placeholders in braces, which `finding` fills in."""

    severity: Severity
    why: str
    fix: str


_NO_WEBHOOKS: Final = (
    "Business OS meets the same answer, so no webhook arrives and connections become active late."
)
_NO_CALLS: Final = "No customer can connect a bank, and nothing is read back or removed."
_RESTART: Final = "Restart the site, so that it runs with the settings that this command has read"

ADVICE: Final[dict[str, Advice]] = {
    # --- the site itself ---
    "database-away": Advice(
        "error",
        "Nothing can be recorded: webhooks answer 500 and pages fail.",
        "Start the database, or correct DATABASES; then: python manage.py banking_doctor",
    ),
    "migrations-missing": Advice(
        "error",
        "The tables are not those that the code expects.",
        "python manage.py migrate business_os_banking",
    ),
    "sqlite-in-production": Advice(
        "warning",
        "SQLite lets one writer in at a time: webhooks and customers wait for each other.",
        "Use PostgreSQL or MariaDB in DATABASES (in the environment of most sites: DATABASE_URL).",
    ),
    "commits-not-durable": Advice(
        "warning",
        "A webhook that was answered 200 is lost if the machine loses power, and nobody sends it again.",
        "Switch it back: {setting}",
    ),
    "public-url-unknown": Advice(
        "warning",
        "Whether webhooks and customers reach this site was not examined.",
        "python manage.py banking_doctor --url https://www.example.com, or set BUSINESS_OS_SITE_URL.",
    ),
    "host-not-allowed": Advice(
        "error",
        "Django answers 400 to everybody who comes by that address, Business OS included.",
        'Add it to your settings: ALLOWED_HOSTS = ["{host}", …]',
    ),
    "account-unusable": Advice(
        "error",
        "Nothing was examined that needs the account: neither the key nor the webhook works.",
        "Correct its settings; or what get_credentials of your adapter returns for it, if it comes from there.",
    ),
    # --- on the way to Business OS ---
    "upstream-name": Advice(
        "error", _NO_CALLS, "Correct {variable}, or the name server of this machine: getent hosts {host}"
    ),
    "upstream-unreachable": Advice(
        "error", _NO_CALLS, "Let this machine (or its HTTPS_PROXY) reach it: curl -v {url}"
    ),
    "upstream-tls": Advice(
        "error",
        f"The key is not sent to a host that cannot prove who it is. {_NO_CALLS}",
        "Bring the certificates of this machine up to date (apt install ca-certificates, pip install -U certifi); "
        "if a proxy opens TLS here, name its certificate in REQUESTS_CA_BUNDLE. Then: curl -v {url}",
    ),
    "upstream-silent": Advice(
        "error", _NO_CALLS, "Try it by hand: curl -v {url}; if it goes on, ask Business OS."
    ),
    "upstream-trouble": Advice(
        "warning", _NO_CALLS, "Wait some minutes and run this again; if it goes on, ask Business OS."
    ),
    "upstream-strange": Advice(
        "error", _NO_CALLS, "Correct {variable}; the default is https://api.business-os.de"
    ),
    "key-refused": Advice(
        "error",
        _NO_CALLS,
        "Make a key at app.business-os.de under API Keys, set {variable} to it, and restart the site.",
    ),
    "key-unproved": Advice(
        "warning",
        "The call that costs nothing did not tell whether the key is accepted, and no other has been made of late.",
        "python manage.py banking_doctor --spend, which reads the connection list once; that may cost one credit.",
    ),
    "credits-used-up": Advice("error", _NO_CALLS, "Buy credits at app.business-os.de."),
    "clock-off": Advice(
        "error",
        "Signed webhooks more than five minutes off are refused, and facts are put in the wrong order.",
        "Let the machine keep its time: timedatectl set-ntp true",
    ),
    # --- from outside to the webhook ---
    "webhook-plain-http": Advice(
        "warning",
        "Secrets and what banks report can be read on their way.",
        "Serve the site over https, and give the doctor that address (--url, or BUSINESS_OS_SITE_URL).",
    ),
    "secret-unsendable": Advice(
        "error",
        "No sender can send it in a header, so none can prove that it knows it.",
        'Put another one first in {variable}, for instance the output of: python -c "import secrets; '
        'print(secrets.token_urlsafe(32))".',
    ),
    "site-unreachable": Advice(
        "error",
        _NO_WEBHOOKS,
        "Try it by hand: curl -v {url}. If only this machine cannot, run the doctor elsewhere.",
    ),
    "site-tls": Advice(
        "error", f"Senders do not post to a host that cannot prove who it is. {_NO_WEBHOOKS}", "curl -v {url}"
    ),
    "webhook-behind-login": Advice(
        "error",
        _NO_WEBHOOKS,
        "Let {path} through without a login: the view is marked login_not_required, so it is a middleware of your "
        "own or a proxy that asks for one.",
    ),
    "webhook-redirected": Advice(
        "error",
        f"Senders do not follow redirects with a body. {_NO_WEBHOOKS}",
        "Register, and give the doctor, the address that it leads to; or take the redirect away.",
    ),
    "webhook-csrf": Advice(
        "error",
        _NO_WEBHOOKS,
        "The view is marked csrf_exempt: look for a CSRF middleware of your own that does not honour it, or a "
        "wrapper around include('business_os_banking.urls') that drops the mark.",
    ),
    "webhook-blocked": Advice(
        "error",
        f"The answer is not the app's: something in front of it refuses. {_NO_WEBHOOKS}",
        "Let POST {path} through at the proxy or firewall, and past middleware of your own.",
    ),
    "webhook-not-found": Advice(
        "error",
        _NO_WEBHOOKS,
        "Compare the prefix in your urls.py, and what the proxy passes on, with {path}. No pattern of yours that "
        "catches all may stand before it. If the site is mounted below a path: --url https://www.example.com/that-path",
    ),
    "webhook-unknown-account": Advice(
        "error", _NO_WEBHOOKS, f"{_RESTART}; the alias must be in BUSINESS_OS_ACCOUNTS."
    ),
    "webhook-refused": Advice(
        "error",
        _NO_WEBHOOKS,
        f"{_RESTART}; let the proxy pass on the header {{header}}; and compare the clocks of both machines.",
    ),
    "webhook-unready": Advice("error", _NO_WEBHOOKS, f"{_RESTART}: the one that runs lacks WEBHOOK_SECRETS."),
    "webhook-throttled": Advice(
        "warning", "The self-test could not be made.", "Wait a minute and run this again."
    ),
    "webhook-broken": Advice(
        "error",
        _NO_WEBHOOKS,
        "Read the site's log of this minute, at business_os_banking and django.request.",
    ),
    "webhook-lost": Advice(
        "error",
        "The address leads to another site, or the running site writes to another database than this command reads.",
        "Compare the address, and DATABASES (or DATABASE_URL) of both processes.",
    ),
    "return-wrong": Advice(
        "error",
        "The bank would send customers back to that address, and not to this site.",
        "Set BUSINESS_OS_SITE_URL={origin}; or let Django know its address behind the proxy, with "
        'SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") and USE_X_FORWARDED_HOST = True.',
    ),
    "return-unreachable": Advice(
        "error",
        "Customers who come back from their bank do not see how it went.",
        "Let {path} through without a login, at the proxy and past middleware of your own.",
    ),
    # --- in the tables ---
    "reconcile-stopped": Advice(
        "error",
        "What a webhook did not bring is never found, sessions never expire, and receivers are not told again.",
        "Let cron run it: */5 * * * *  python manage.py banking_reconcile",
    ),
    "silence": Advice(
        "error",
        "Connections become active only when they are read back.",
        "{advice}",
    ),
    "webhooks-quiet": Advice(
        "warning",
        "Either nobody has registered the webhook, or it does not get through.",
        f"{silence.ADVICE[Silence.NO_WEBHOOKS]} On a site that gets none, leave WEBHOOK_SECRETS empty.",
    ),
    "nothing-is-heard": Advice(
        "error",
        "No connection ever becomes active.",
        "Set {variable} and register the webhook, or correct CONNECTIONS_PATH.",
    ),
    "reading-paused": Advice(
        "warning",
        "What a webhook did not bring is found later.",
        "Read the site's log at business_os_banking.flows.",
    ),
    "reads-used-up": Advice(
        "warning",
        "What a webhook did not bring is found tomorrow.",
        "Raise READS_PER_DAY: see docs/operations.md.",
    ),
    "events-failed": Advice(
        "error",
        "What they report has had no effect yet.",
        "Read the log, mend the cause, then: python manage.py banking_replay --outcome failed",
    ),
    "events-unmatched": Advice(
        "warning",
        "Another system may use the same key, or the webhook of another site is registered.",
        "Look at them in the admin; when what they name exists now: "
        "python manage.py banking_replay --outcome unmatched",
    ),
    "events-contradict": Advice(
        "warning", "They are kept and change nothing.", "Read their notes in the admin, and ask Business OS."
    ),
    "events-unusable": Advice(
        "warning",
        "They are kept and change nothing: their connections could neither be read nor removed.",
        "Read their notes in the admin, and tell Business OS.",
    ),
    "ids-unknown": Advice(
        "warning",
        "They cannot be read, told apart from others, or removed at the provider.",
        "The list may name them: python manage.py banking_reconcile. If it does not, ask Business OS.",
    ),
    "events-untold": Advice(
        "error",
        "Receivers of this site have not heard what happened.",
        "Read the log at django.dispatch for the receiver that raises; then: python manage.py banking_reconcile",
    ),
    "removals-stuck": Advice(
        "warning",
        "The provider still holds, and may charge for, what was ended here.",
        # The admin shows it, too, and translated.
        gettext_noop(
            "Read the log at business_os_banking.flows.remove for the reason. If you know that it is gone, or have to "
            "give it up, settle it by hand in the admin, under Removals at the provider."
        ),
    ),
    "users-deleted": Advice(
        "warning",
        "Links to banks live on although the site has deleted whose they were.",
        "In the admin: Bank connections, Look: User deleted; or: python manage.py banking_erase --without-user. "
        "docs/privacy.md shows how a site disconnects before it deletes a user.",
    ),
}


def finding(code: str, what: str, *, account: str = "", **values: Any) -> Finding:
    """Return the finding of this *code*. *what* is what was seen; *values* fill in the placeholders of its fix."""
    severity, why, fix = ADVICE[code]
    return Finding(
        code=code,
        severity=severity,
        account=account,
        what=what,
        why=why,
        fix=fix.format_map(values) if values else fix,
    )
