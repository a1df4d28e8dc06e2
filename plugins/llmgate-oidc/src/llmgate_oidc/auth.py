"""The auth provider ``oidc``: whose token is presented."""

from __future__ import annotations

from typing import Final

from llmgate.spec import (
    AuthenticationError,
    AuthProvider,
    ClientCertificate,
    Clock,
    ConfigError,
    Credentials,
    Principal,
    StageContext,
)

from .checks import bound_to, check_claims, check_header, check_holder
from .config import OidcConfig
from .errors import RefusedTokenError
from .issuer import Issuer
from .mapping import principal_of
from .memory import Remembered, TokenMemory, digest_of
from .token import SignedToken, looks_like_a_token, read_token

__all__ = ["Oidc"]

_CLOSED: Final = "oidc is not open"


class Oidc(AuthProvider[OidcConfig]):
    """Knows callers by signed tokens (JWT) of the issuers that are configured.

    What is no such token, or one of another issuer, is left to the next auth provider. Whatever is wrong with one of a
    configured issuer, the caller is told the same; the reason is in the record. A token chooses nothing about how it is
    checked: the issuer's keys say which algorithm each is for, and no address in a token is ever asked.
    """

    name = "oidc"
    config_class = OidcConfig

    def __init__(self, config: OidcConfig) -> None:
        super().__init__(config)
        self._clock: Clock | None = None
        self._issuers: dict[str, Issuer] = {}
        self._memory = TokenMemory(config.max_cached, config.cache_for)

    async def open(self, context: StageContext) -> None:
        """Begin to fetch the issuers' keys; nobody is waited for, so that a gateway starts although one is away.

        Raises:
            ConfigError: the certificates of one cannot be read.
        """
        for one in self.config.issuers:
            try:
                authorities = None if one.ca_file is None else (context.directory / one.ca_file).read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"{context.id}: ca-file: {one.ca_file} cannot be read ({type(error).__name__})"
                ) from None
            self._issuers[one.issuer] = Issuer(one, self.config, context, authorities)
        for issuer in self._issuers.values():
            issuer.start()
        self._clock = context.clock

    async def aclose(self) -> None:
        """Forget keys and tokens."""
        self._clock = None
        issuers, self._issuers = self._issuers, {}
        self._memory.clear()
        for issuer in issuers.values():
            await issuer.aclose()

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """The principal whose token is presented; None when none is of an issuer that is configured.

        Raises:
            AuthenticationError: a token of one of them is presented, and it is bad.
            IssuerUnavailableError: nobody can say, because no key of its issuer is known.
        """
        clock = self._clock
        if clock is None:
            raise AuthenticationError(reason=_CLOSED)
        reason = ""
        for token in credentials.presented():
            if not looks_like_a_token(token):
                continue
            try:
                principal = await self._judged(token, clock, credentials.certificate)
            except RefusedTokenError as refused:
                reason = reason or str(refused)
                continue
            if principal is not None:
                return principal
        if reason:
            raise AuthenticationError(reason=reason)
        return None

    async def _judged(self, text: str, clock: Clock, certificate: ClientCertificate | None) -> Principal | None:
        """Whose a token is; None where its issuer is none of ours."""
        digest = digest_of(text)
        known = self._memory.find(digest, clock.now())
        if known is None:
            known = await self._looked_at(text, clock)
            if known is None:
                return None
            self._memory.keep(digest, known, clock.now())
        # Who has heard a token is not who it was given to: what it is bound to is shown each time.
        check_holder(known.bond, certificate, clock.now())
        return known.principal

    async def _looked_at(self, text: str, clock: Clock) -> Remembered | None:
        """What a token is that is not remembered."""
        token = read_token(text, self.config.max_token_bytes)
        name = token.claims.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            return None
        algorithm, kid = check_header(token.header, issuer.config)
        await _check_signature(token, issuer, algorithm, kid)
        end = check_claims(token.claims, issuer.config, clock.now())
        bond = bound_to(token.claims, issuer.config)
        principal = principal_of(token.claims, issuer.config)
        return Remembered(principal, bond, end, issuer, issuer.version)


async def _check_signature(token: SignedToken, issuer: Issuer, algorithm: str, kid: str | None) -> None:
    keys = await issuer.keys(kid, algorithm)
    if not keys:
        raise RefusedTokenError("its issuer has no such key for its algorithm")
    if any(key.verifies(algorithm, token.signed, token.signature) for key in keys):
        return
    # Where keys have no names, one that has been replaced looks like a bad signature.
    if kid is None and await issuer.asked_again():
        keys = await issuer.keys(kid, algorithm)
        if any(key.verifies(algorithm, token.signed, token.signature) for key in keys):
            return
    raise RefusedTokenError("its signature is none of its issuer's")
