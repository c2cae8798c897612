"""The gateway does what the settings say, for as long as they say."""

import time
from typing import Any

import pytest

from business_os_banking.sandbox import simulate, trouble
from business_os_banking.sandbox.models import SandboxSession

from .conftest import Api, Configure


def body_of(answer: Any) -> bytes:
    content: bytes = answer.getvalue()
    return content


def test_html_502(api: Api, configure: Configure) -> None:
    configure(TROUBLE="html_502")
    for answer in (api.post({}), api.get("/connections"), api.delete("/connections/1"), Api("").post({})):
        assert answer.status_code == 502
        assert answer["Content-Type"] == "text/html"
        assert b"<h1>502 Bad Gateway</h1>" in answer.content
    assert not SandboxSession.objects.exists()


def test_it_lasts_for_so_many_calls(api: Api, configure: Configure) -> None:
    configure(TROUBLE="html_502", TROUBLE_CALLS=2)
    assert [api.get("/connections").status_code for _ in range(4)] == [502, 502, 200, 200]
    configure(TROUBLE="html_502", TROUBLE_CALLS=1)
    assert [api.get("/connections").status_code for _ in range(2)] == [502, 200], "counted anew"


def test_hang(api: Api, configure: Configure) -> None:
    configure(TROUBLE="hang", TROUBLE_SECONDS=0.3)
    started = time.monotonic()
    answer = api.post({})
    assert time.monotonic() - started >= 0.3
    assert answer.status_code == 504
    assert not SandboxSession.objects.exists()


@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_nothing_takes_for_ever(
    api: Api, configure: Configure, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(trouble, "sleep", slept.append)
    configure(TROUBLE=kind, TROUBLE_SECONDS=10**9)
    body_of(api.get("/connections"))
    assert sum(slept) == pytest.approx(trouble.LONGEST)


def test_drip(api: Api, configure: Configure) -> None:
    plain = api.get("/connections")
    configure(TROUBLE="drip", TROUBLE_SECONDS=0.3)
    started = time.monotonic()
    answer = api.get("/connections")
    assert answer.streaming
    drops = list(answer)
    assert time.monotonic() - started >= 0.3
    assert all(len(drop) == 1 for drop in drops)
    assert b"".join(drops) == plain.content
    assert answer["Content-Type"] == "application/json"
    assert "Content-Length" not in answer
    assert Api("").get("/connections").status_code == 401


@pytest.mark.parametrize("status", [404, 405])
def test_list_missing(api: Api, configure: Configure, status: int) -> None:
    session = api.session()
    simulate.finish(session.token)
    link = SandboxSession.objects.get().connection.connection_id
    configure(LIST_MISSING=status)
    assert api.get("/connections").status_code == status
    assert Api("").get("/connections").status_code == 401
    assert api.delete(f"/connections/{link}").status_code == 200, "the list alone is missing"
