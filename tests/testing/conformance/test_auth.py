"""The kit tells auth providers that would let the wrong one in from those that do not."""

from __future__ import annotations

import pytest

from llmgate.spec import AuthenticationError, AuthProvider, Credentials, NoConfig, Principal
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance.auth import AuthConformance


def kit(answer, **members):
    """The kit for a provider whose ``authenticate`` is ``answer(token)``."""

    class Subject(AuthProvider[NoConfig]):
        name = "subject"

        async def authenticate(self, credentials):
            return answer(credentials.tokens.get("authorization", ""))

    fields = {"stage_class": Subject, "valid": (Credentials.of("good"),), "bad": (Credentials.of("bad"),)}
    return type("Kit", (AuthConformance,), {**fields, **members})()


def refuse(reason="unknown", message="invalid credentials"):
    raise AuthenticationError(message, reason=reason)


def sound(token):
    if token == "good":
        return Principal(id="alice", issuer="subject")
    return refuse() if token.strip() else None


TESTS = {
    "valid": "test_valid_credentials_give_a_principal",
    "same": "test_the_same_credentials_give_the_same_principal",
    "bad": "test_bad_credentials_are_refused_alike",
    "stranger": "test_strangers_are_left_to_others",
    "awkward": "test_awkward_tokens_do_no_harm",
}


async def run(subject, which, tmp_path):
    context = subject.make_context(tmp_path, FakeClock())
    extra = ("authorization",) if which == "awkward" else ()
    await getattr(subject, TESTS[which])(context, *extra)


@pytest.mark.parametrize("which", TESTS)
async def test_a_sound_provider_passes(which, tmp_path):
    await run(kit(sound), which, tmp_path)


@pytest.mark.parametrize(
    ("which", "answer", "message"),
    [
        ("valid", lambda token: None, "Principal"),
        ("valid", lambda token: Principal(id="", issuer="x"), "id"),
        ("valid", lambda token: Principal(id="a", issuer=""), "issuer"),
        ("valid", lambda token: Principal(id=token, issuer="x"), "tokens out"),
        ("bad", lambda token: refuse(reason=f"no key {token}"), "token out of the error"),
        ("stranger", lambda token: Principal(id="a", issuer="x"), "return None"),
        ("awkward", lambda token: Principal(id="a", issuer="x"), "nobody's token"),
    ],
)
async def test_a_fault_is_found(which, answer, message, tmp_path):
    with pytest.raises(AssertionError, match=message):
        await run(kit(answer), which, tmp_path)


async def test_a_provider_that_lets_the_bad_in_is_found(tmp_path):
    with pytest.raises(pytest.fail.Exception):
        await run(kit(lambda token: Principal(id="a", issuer="x")), "bad", tmp_path)


async def test_refusals_that_tell_callers_apart_are_found(tmp_path):
    subject = kit(lambda token: refuse(message=f"{len(token)}"), bad=(Credentials.of("a"), Credentials.of("ab")))
    with pytest.raises(AssertionError, match="all refusals look alike"):
        await run(subject, "bad", tmp_path)


async def test_a_provider_that_trips_over_a_token_is_found(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        await run(kit(lambda token: (token.encode(), None)[1]), "awkward", tmp_path)


async def test_credentials_must_be_given(tmp_path):
    for which, members in (("valid", {"valid": ()}), ("bad", {"bad": ()})):
        with pytest.raises(AssertionError, match="give the kit some"):
            await run(kit(sound, **members), which, tmp_path)


async def test_a_provider_that_says_it_accepts_anybody_must(tmp_path):
    """A capability is tested whether it is on or off."""
    anybody = kit(lambda token: Principal(id="anybody", issuer="subject"), accepts_anybody=True, bad=())
    await run(anybody, "bad", tmp_path)
    with pytest.raises(AssertionError, match="is refused"):
        await run(kit(lambda token: None, accepts_anybody=True, bad=()), "bad", tmp_path)
    with pytest.raises(AssertionError, match="leave `bad` out"):
        await run(kit(sound, accepts_anybody=True), "bad", tmp_path)
