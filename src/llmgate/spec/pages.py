"""Pages that plugins add to the host, for people with a browser: what they are asked, and what they may look at."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import attrs

from .identity import Principal
from .record_reader import KeptRecord, RecordPage, UsageReport
from .stage import ConfigT, Stage

__all__ = ["HTML", "PageAnswer", "PageRequest", "Pages", "Reception", "Visitor"]

HTML: Final = "text/html; charset=utf-8"


@attrs.frozen
class PageRequest:
    """What a browser asks for; the host has read it, bounded, and found it harmless.

    Args:
        path: The rest of the path behind the place where the pages are, without a leading slash: ``""`` for the first.
        root: Where the pages begin, as links must write it: ``/dashboard``, or what an application has mounted it at.
        method: ``GET`` or ``POST``. A ``POST`` comes from a page of the gateway's own.
        query: The words of the query, with the texts of each.
        form: The fields of the form that is posted.
        headers: By lower-case name.
        cookies: By name.
        secure: Whether it came over TLS.
        client_address: The peer's address.
    """

    path: str
    root: str = ""
    method: str = "GET"
    query: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    form: Mapping[str, Sequence[str]] = attrs.field(factory=dict, repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    cookies: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    secure: bool = False
    client_address: str = ""


@attrs.frozen
class PageAnswer:
    """What is answered. The host adds the headers that keep a browser safe, which an answer cannot weaken.

    Args:
        body: The page.
        status: The HTTP status.
        content_type: Of the body.
        headers: Further headers, for example ``location`` or ``set-cookie``. ``cache-control`` is ``no-store`` unless
            it stands here.
    """

    body: bytes = b""
    status: int = 200
    content_type: str = HTML
    headers: Sequence[tuple[str, str]] = ()


class Visitor(Protocol):
    """Somebody whom the gateway knows, and what he may look at: what the read API would show him, and no more.

    What he asks about himself is recorded as one exchange, as it would be there, and counted nowhere.
    """

    @property
    def principal(self) -> Principal:
        """Who it is."""
        ...

    @property
    def sees_all(self) -> bool:
        """Whether he sees everybody's records, or only his own."""
        ...

    async def records(self, asked: Mapping[str, Sequence[str]]) -> tuple[RecordPage, str | None]:
        """A page of records, the youngest first, and the ``cursor`` of the next one, None behind the last.

        Args:
            asked: Words as in the query of ``/v1/llmgate/requests``.

        Raises:
            InvalidRequestError: a word is not known, or its text says nothing.
            GatewayError: no logger can be asked (``records_not_kept``).
        """
        ...

    async def record(self, record_id: str) -> KeptRecord:
        """One record, whole.

        Raises:
            GatewayError: there is none that he may see (``record_not_found``), or no logger can be asked.
        """
        ...

    async def usage(self, asked: Mapping[str, Sequence[str]]) -> UsageReport:
        """What records add up to.

        Args:
            asked: Words as in the query of ``/v1/llmgate/usage``.

        Raises:
            InvalidRequestError: a word is not known, or its text says nothing.
            GatewayError: no logger can be asked (``records_not_kept``).
        """
        ...

    async def deployments(self) -> Sequence[Mapping[str, Any]]:
        """How the deployments do that he may ask, as in ``data`` of ``/v1/health/deployments``; of this process."""
        ...


class Reception(Protocol):
    """Where pages find out who asks."""

    @property
    def open(self) -> bool:
        """Whether everybody is let in without a key."""
        ...

    async def enter(self, key: str | None = None) -> Visitor:
        """Who asks; once for a request.

        Args:
            key: What he has presented to the pages, judged in the place of the request's own headers; None to judge
                those.

        Raises:
            AuthenticationError: nobody whom the gateway knows.
        """
        ...


class Pages(Stage[ConfigT]):
    """Pages below one path of the host.

    The pages of a class are at ``/`` and its ``name``; a config with a field ``path`` places them elsewhere.
    """

    @property
    def path(self) -> str:
        """Where the pages are: a slash, and one segment of lower-case letters, digits and hyphens."""
        return getattr(self.config, "path", None) or f"/{self.name}"

    @abstractmethod
    async def answer(self, request: PageRequest, reception: Reception) -> PageAnswer:
        """Answer a request; called for whatever lies below ``path``.

        Whoever wants to know something of the gateway enters first. An error of the gateway that is not caught becomes
        a plain page that says what is wrong.

        Args:
            request: What is asked.
            reception: Where to find out who asks.

        Raises:
            GatewayError: why there is no page.
        """
