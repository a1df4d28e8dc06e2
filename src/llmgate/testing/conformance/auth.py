"""What every auth provider promises."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import pytest

from llmgate.spec import AuthenticationError, Credentials, Principal, StageContext

from .base import StageConformance

__all__ = ["AuthConformance"]

_AWKWARD: Final = (
    "",
    " ",
    "\x00",
    "a\r\nb",
    "ключ",
    "\U0001f511",
    "\udc80",
    "' or '1'='1",
    "*)(uid=*",
    "sk-lg-",
    "x" * 100_000,
)
"""Tokens that nobody has and that nothing may trip over."""


class AuthConformance(StageConformance):
    """Auth providers.

    Attributes:
        valid: Credentials that are good, at the time of the kit's clock.
        bad: Credentials that are this provider's to judge, and bad: unknown, forged, expired.
        strangers: Credentials that are not its to judge.
        accepts_anybody: Whether it lets everybody in, whatever is presented.
    """

    kind = "auth"
    valid: ClassVar[Sequence[Credentials]] = ()
    bad: ClassVar[Sequence[Credentials]] = ()
    strangers: ClassVar[Sequence[Credentials]] = (Credentials(),)
    accepts_anybody: ClassVar[bool] = False

    @pytest.mark.asyncio
    async def test_valid_credentials_give_a_principal(self, context: StageContext) -> None:
        """A principal has an id and an issuer, and shows no token."""
        assert self.valid or self.accepts_anybody, "give the kit some valid credentials"
        async with self.opened(context) as stage:
            for credentials in self.valid:
                principal = await stage.authenticate(credentials)
                assert isinstance(principal, Principal), "return the Principal whose credentials these are"
                assert principal.id, "give the principal an id"
                assert principal.issuer, "name the issuer, since ids are unique within one only"
                for token in credentials.tokens.values():
                    assert token not in repr(principal), "keep tokens out of the principal"

    @pytest.mark.asyncio
    async def test_the_same_credentials_give_the_same_principal(self, context: StageContext) -> None:
        """Limits and records hang on the principal: it is the same each time, also when asked at once."""
        async with self.opened(context) as stage:
            for credentials in self.valid:
                answers = await asyncio.gather(*(stage.authenticate(credentials) for _ in range(50)))
                assert {(answer.issuer, answer.id) for answer in answers} == {(answers[0].issuer, answers[0].id)}

    @pytest.mark.asyncio
    async def test_bad_credentials_are_refused_alike(self, context: StageContext) -> None:
        """What the caller is told does not say why, and neither it nor the reason shows the token.

        A provider that accepts anybody has no bad credentials: any text is as good as another.
        """
        told = set()
        async with self.opened(context) as stage:
            if self.accepts_anybody:
                assert not self.bad, "a provider that accepts anybody refuses nothing: leave `bad` out"
                for token in _AWKWARD:
                    assert await stage.authenticate(Credentials.of(token)) is not None, f"{token[:20]!r} is refused"
                return
            assert self.bad, "give the kit some bad credentials"
            for credentials in self.bad:
                with pytest.raises(AuthenticationError) as caught:
                    await stage.authenticate(credentials)
                told.add((caught.value.message, caught.value.code, caught.value.param, caught.value.retry_after))
                for token in filter(None, credentials.tokens.values()):
                    assert token not in f"{caught.value} {caught.value.reason}", "keep the token out of the error"
        assert len(told) == 1, "all refusals look alike to the caller: put what differs into `reason`"

    @pytest.mark.asyncio
    async def test_strangers_are_left_to_others(self, context: StageContext) -> None:
        """None means: not mine, ask the next."""
        async with self.opened(context) as stage:
            for credentials in (Credentials(), *self.strangers):
                answer = await stage.authenticate(credentials)
                assert (answer is not None) == self.accepts_anybody, "return None for what is not yours to judge"

    @pytest.mark.asyncio
    @pytest.mark.parametrize("place", ["authorization", "x-api-key", "helicone-auth", "no-such-place"])
    async def test_awkward_tokens_do_no_harm(self, context: StageContext, place: str) -> None:
        """Any text may come in from outside; the answer is a refusal or None, never another error."""
        async with self.opened(context) as stage:
            for token in _AWKWARD:
                answer: Any
                try:
                    answer = await stage.authenticate(Credentials(tokens={place: token}))
                except AuthenticationError:
                    answer = None
                assert (answer is not None) == self.accepts_anybody, f"{token[:20]!r} is nobody's token"
