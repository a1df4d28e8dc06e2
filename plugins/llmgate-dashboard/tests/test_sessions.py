"""Sessions open for who sealed them, for as long as they last, and for nobody else."""

from __future__ import annotations

import pytest
from llmgate_dashboard.sessions import COOKIE, Sessions, new_secret

from llmgate.spec import PageRequest
from llmgate.testing import FakeClock

HERE = PageRequest("sign-in", root="/dashboard")


def sealed(cookie: str) -> dict[str, str]:
    return {COOKIE: cookie.partition("=")[2].partition(";")[0]}


def test_a_session_opens_until_it_is_over() -> None:
    clock = FakeClock()
    sessions = Sessions("s" * 32, 60.0, clock)
    cookie = sessions.begin("sk-1", HERE)
    assert cookie.endswith("; Path=/dashboard; Max-Age=60; HttpOnly; SameSite=Strict")
    assert "sk-1" not in cookie
    assert sessions.key(sealed(cookie)) == "sk-1"
    clock.advance(61)
    assert sessions.key(sealed(cookie)) is None


def test_a_session_that_was_ended_opens_nothing_though_its_cookie_was_kept() -> None:
    sessions = Sessions("s" * 32, 60.0, FakeClock())
    kept, other = sealed(sessions.begin("sk-1", HERE)), sealed(sessions.begin("sk-1", HERE))
    forgotten = sessions.end(PageRequest("sign-out", root="/dashboard", cookies=kept))
    assert "Max-Age=0" in forgotten
    assert sessions.key(kept) is None
    assert sessions.key(other) == "sk-1"


def test_another_worker_with_the_same_secret_opens_it_and_one_with_another_does_not() -> None:
    cookies = sealed(Sessions("s" * 32, 60.0, FakeClock()).begin("sk-1", HERE))
    assert Sessions("s" * 32, 60.0, FakeClock()).key(cookies) == "sk-1"
    assert Sessions(new_secret(), 60.0, FakeClock()).key(cookies) is None


@pytest.mark.parametrize("value", ["", "x", "gAAAAA", "\udc80", "é" * 100, "a" * 10_000])
def test_what_was_not_sealed_here_opens_nothing(value: str) -> None:
    assert Sessions("s" * 32, 60.0, FakeClock()).key({COOKIE: value}) is None


@pytest.mark.parametrize(("over_tls", "always"), [(True, False), (False, True)])
def test_over_tls_the_cookie_goes_over_tls_only(over_tls: bool, always: bool) -> None:
    sessions = Sessions("s" * 32, 60.0, FakeClock(), always)
    assert sessions.begin("sk-1", PageRequest("", secure=over_tls)).endswith("; Secure")


def test_the_secret_does_not_show() -> None:
    assert "sss" not in repr(Sessions("s" * 32, 60.0, FakeClock()))
