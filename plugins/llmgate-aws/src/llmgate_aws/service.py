"""A service of AWS's in several regions: signed calls, to the next region where one does not answer.

Source: AWS, "Secrets Manager API reference" and "Systems Manager API reference" (JSON 1.1, common errors), and "AWS
service endpoints".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.aws_signing import signature_headers
from llmgate.spec import SecretRef, SecretService, SecretUnavailableError, ServiceAnswer, StageContext

from .config import AwsConfig
from .identity import Identity

__all__ = ["AwsService", "error_of"]

_REST: Final = 30.0
"""Seconds for which a region that has not answered is asked after the others."""
_CHINA: Final = "cn-"
_BUSY: Final = frozenset(
    {"InternalServiceError", "InternalServerError", "InternalFailure", "ServiceUnavailable", "ThrottlingException"}
)


class AwsService:
    """Calls one service.

    Args:
        name: What messages call it.
        code: What AWS calls it, in addresses and signatures.
        config: The keys of the store.
        context: What the store was opened with.
    """

    def __init__(self, name: str, code: str, config: AwsConfig, context: StageContext) -> None:
        self._name = name
        self._code = code
        self._config = config
        self._context = context
        self._identity = Identity(config, context)
        self._resting: dict[str, float] = {}

    async def call(self, ref: SecretRef, target: str, body: Mapping[str, Any]) -> ServiceAnswer:
        """Make a call at the first region that answers.

        Args:
            ref: Which secret it is for.
            target: The operation, as ``x-amz-target`` names it.
            body: What is sent.

        Raises:
            SecretUnavailableError: no region answers, or there are no credentials.
        """
        first = await self._identity.region(ref)
        failure: SecretUnavailableError | None = None
        for region in self._ordered((first, *self._config.replicas)):
            try:
                answer = await self._call_at(ref, region, target, body, own=region == first)
            except SecretUnavailableError as error:
                failure = failure or error
            else:
                if answer.status < 500 and error_of(answer) not in _BUSY:
                    self._resting.pop(region, None)
                    return answer
                failure = failure or self.failed(ref, answer)
            self._resting[region] = self._context.clock.monotonic() + _REST
        assert failure is not None, "there is at least one region"
        raise failure

    def failed(self, ref: SecretRef, answer: ServiceAnswer, reason: str = "") -> SecretUnavailableError:
        """The error behind an answer that is none; AWS's own name for it is told, and none of its text."""
        told = " ".join(one for one in (error_of(answer), reason) if one)
        return SecretUnavailableError(f"{ref}: {self._name} answers {answer.status}{told and f': {told}'}")

    async def aclose(self) -> None:
        """Forget the credentials."""
        await self._identity.aclose()
        self._resting.clear()

    def _ordered(self, regions: Sequence[str]) -> Sequence[str]:
        """The regions as written, those that have not answered a moment ago behind the others."""
        now = self._context.clock.monotonic()
        return sorted(dict.fromkeys(regions), key=lambda region: self._resting.get(region, now) > now)

    async def _call_at(
        self, ref: SecretRef, region: str, target: str, body: Mapping[str, Any], *, own: bool
    ) -> ServiceAnswer:
        keys = await self._identity.keys(ref)
        service = self._at(region, own=own)
        sent = json.dumps(body).encode()
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
        headers |= signature_headers(
            "POST",
            f"{service.address}/",
            headers,
            sent,
            keys,
            service=self._code,
            region=region,
            now=self._context.clock.now(),
        )
        return await service.ask(ref, "POST", "/", headers=headers, body=sent)

    def _at(self, region: str, *, own: bool) -> SecretService:
        domain = "amazonaws.com.cn" if region.startswith(_CHINA) else "amazonaws.com"
        address = self._config.endpoint if own and self._config.endpoint else f"https://{self._code}.{region}.{domain}"
        return SecretService(f"{self._name} in {region}", address, self._context.transport, self._config.timeout)


def error_of(answer: ServiceAnswer) -> str:
    """AWS's name for an error, ``""`` where there is none."""
    if answer.status < 400:
        return ""
    told = answer.at("__type")
    name = told.rpartition("#")[2].partition(":")[0] if isinstance(told, str) else ""
    return name[:64] if name.isalnum() else ""
