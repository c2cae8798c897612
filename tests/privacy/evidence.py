"""What is left behind after a journey: tables, logs, mails, pages, calls."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import caches
from django.db import connection
from django.test import Client
from django.utils.log import AdminEmailHandler

from business_os_banking.logs import MaskedReporter, MaskSecrets
from tests.privacy.markers import ADMIN, Person

Dump = dict[str, str]  # "table.column" -> all that is in it


class Evidence:
    """``places`` holds texts by where they were seen; ``dumps`` the whole database, by the name of the moment."""

    def __init__(self) -> None:
        self.people = [Person("eva", 31), Person("otto", 32), Person("ida", 33)]
        self.places: dict[str, list[Any]] = defaultdict(list)
        self.dumps: dict[str, Dump] = {}
        self.belongs_to_nobody = ""  # the reference of a session whose user the site deletes

    def saw(self, place: str, *texts: Any) -> None:
        self.places[place] += texts

    def dump(self, moment: str) -> None:
        self.dumps[moment] = dump()
        self.saw("cache", repr(caches["default"]._cache))  # type: ignore[attr-defined]
        for message in mail.outbox:
            is_fault = message.to == [ADMIN]
            parts = [part.content for part in getattr(message, "alternatives", [])]
            self.saw("fault mails" if is_fault else "reminder mails", message.message().as_string(), *parts)
            self.saw(
                "fault mails" if is_fault else "reminder mails", message.subject, message.body, message.to
            )
        mail.outbox.clear()


def dump() -> Dump:
    """Return every row of every table, as the database itself gives it."""
    found: dict[str, list[str]] = defaultdict(list)
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                for name, value in zip(columns, row, strict=True):
                    found[f"{table}.{name}"].append(str(value))
    found["django_session.session_data"] += [str(row.get_decoded()) for row in Session.objects.all()]
    return {column: "\n".join(values) for column, values in found.items()}


class _Collect(logging.Handler):
    def __init__(self, evidence: Evidence) -> None:
        super().__init__(logging.DEBUG)
        self.evidence = evidence
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        # While Django writes its own reports, and they are named "unknown", it logs their whole context.
        if not (record.name == "django.template" and "in template 'unknown'" in record.getMessage()):
            self.evidence.saw("log", self.format(record))


class _MaskedMails(AdminEmailHandler):
    """Django's handler, set up as docs/privacy.md has it, with a letterbox of its own."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(reporter_class=f"{MaskedReporter.__module__}.MaskedReporter")
        self.setLevel(logging.ERROR)
        self.addFilter(MaskSecrets())
        self.evidence = evidence

    def handle(self, record: logging.LogRecord) -> Any:
        # A record that was masked stays so, and the log is to be seen as it is without.
        return super().handle(copy(record))

    def send_mail(self, subject: Any, message: Any, *args: Any, **kwargs: Any) -> None:
        self.evidence.saw("fault mails, masked", subject, message)


@contextmanager
def listening(evidence: Evidence) -> Iterator[None]:
    """Write down all that anybody logs, at every level, as it is; and what Django mails, masked."""
    root = logging.getLogger()
    everybody = [
        item for item in logging.root.manager.loggerDict.values() if isinstance(item, logging.Logger)
    ]
    before = [(logger, logger.level, logger.propagate) for logger in [root, *everybody]]
    plain, mails = _Collect(evidence), _MaskedMails(evidence)
    for logger in everybody:
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    root.setLevel(logging.DEBUG)
    root.addHandler(plain)
    logging.getLogger("django").addHandler(mails)
    try:
        yield
    finally:
        root.removeHandler(plain)
        logging.getLogger("django").removeHandler(mails)
        for logger, level, propagate in before:
            logger.setLevel(level)
            logger.propagate = propagate


class Browser(Client):
    """The browser of a person, which tells of that person in every header, and of which all that it sees is kept."""

    def __init__(self, evidence: Evidence, person: Person | None = None) -> None:
        headers = {"Referer": person.new_connect_url(), **_told_by(person)} if person else {}
        super().__init__(raise_request_exception=False, headers=headers)
        self.evidence = evidence
        if person:
            self.defaults["REMOTE_ADDR"] = person.address
            self.cookies["tracking"] = f"MARKERCOOKIE{person.name}"

    def see(self, place: str, url: str) -> Any:
        return self._kept(place, self.get(url))

    def send(self, place: str, url: str, data: dict[str, Any]) -> Any:
        return self._kept(place, self.post(url, data))

    def _kept(self, place: str, answer: Any) -> Any:
        self.evidence.saw(place, answer.content)
        ours = [morsel for name, morsel in answer.cookies.items() if name not in {"csrftoken", "sessionid"}]
        self.evidence.saw("cookies", *ours)
        return answer


def _told_by(person: Person) -> dict[str, str]:
    return {"User-Agent": f"MarkerBrowser/{person.name}", "X-Forwarded-For": person.address}
