"""The book of domains ``sql-domains``: what was asked, proven and decided, for gateways on several machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from llmgate.spec import DomainBook, DomainEvent, GatewayClosedError, GatewayError, StageContext
from llmgate_store.config import DOMAINS, SqlDomainsConfig

if TYPE_CHECKING:
    from llmgate_store.database import Database

__all__ = ["DomainChangeError", "SqlDomains"]

_LONGEST: Final[Mapping[str, int]] = {
    "at": 40, "domain": 253, "action": 16, "by": 200, "note": 2000, "token": 64, "proof": 500,
}  # fmt: skip
"""Characters that each of an event's texts may have: what its column holds."""
_MOST: Final = 1_000_000
"""Events that a gateway takes in; a book that has more was not written by people."""


class DomainChangeError(GatewayError):
    """The book cannot be added to as asked; the message says why."""

    default_code = "domain_not_changed"


class SqlDomains(DomainBook[SqlDomainsConfig]):
    """Keeps domains in the database, where every gateway reads what ``llmgate domains`` has written anywhere."""

    name = "sql-domains"
    config_class = SqlDomainsConfig

    def __init__(self, config: SqlDomainsConfig) -> None:
        super().__init__(config)
        self._database: Database | None = None

    async def open(self, context: StageContext) -> None:
        """Connect to the database.

        Raises:
            ConfigError: the database's address cannot be used.
            StoreUnavailableError: the database cannot be reached.
            PluginError: its tables are of another version.
        """
        # Late: SQLAlchemy takes a second, which a configuration that is only checked must not pay for.
        from llmgate_store.database import Database

        self._database = Database(self.config.database, context)
        await self._database.open()

    async def aclose(self) -> None:
        """Close the database."""
        if self._database is not None:
            await self._database.aclose()
        self._database = None

    async def revision(self) -> object:
        """How often the book was added to.

        Raises:
            StoreUnavailableError: the database does not answer.
        """
        # Late: as above.
        import sqlalchemy as sa

        from llmgate_store.tables import revisions

        question = sa.select(revisions.c.revision).where(revisions.c.subject == DOMAINS)
        async with self._opened.read() as connection:
            return (await connection.execute(question)).scalar_one()

    async def read(self) -> Sequence[DomainEvent]:
        """Every event, in the order in which they were added.

        Raises:
            StoreUnavailableError: the database does not answer.
            DomainChangeError: there are too many, or one of them is no event.
        """
        # Late: as above.
        import sqlalchemy as sa

        from llmgate_store.tables import domain_events

        columns = domain_events.c
        order = (
            columns.at,
            columns.domain,
            columns.action,
            columns.done_by,
            columns.note,
            columns.token,
            columns.proof,
        )
        question = sa.select(*order).order_by(columns.number).limit(_MOST + 1)
        async with self._opened.read() as connection:
            rows = (await connection.execute(question)).all()
        if len(rows) > _MOST:
            raise DomainChangeError(f"the book of domains has more than {_MOST} events: it was not written by llmgate")
        try:
            return [DomainEvent(*row) for row in rows]
        except (TypeError, ValueError) as wrong:
            raise DomainChangeError(f"a row of the table domain_events is no event: {wrong}") from None

    async def append(self, event: DomainEvent) -> None:
        """Add an event, committed when this returns.

        Raises:
            StoreUnavailableError: the database does not answer.
            DomainChangeError: one of its texts is too long.
        """
        # Late: as above.
        import sqlalchemy as sa

        from llmgate_store.tables import domain_events

        for name, most in _LONGEST.items():
            if len(getattr(event, name)) > most:
                raise DomainChangeError(f"{name}: {most} characters at most are kept: write a shorter one")
        async with self._opened.write() as connection:
            # The revision is the number of the event as well: its lock puts those in order who add at once.
            number = await self._opened.raise_revision(connection, DOMAINS)
            row = {
                "at": event.at,
                "domain": event.domain,
                "action": event.action,
                "done_by": event.by,
                "note": event.note,
                "token": event.token,
                "proof": event.proof,
            }
            await connection.execute(sa.insert(domain_events).values(number=number, **row))

    @property
    def _opened(self) -> Database:
        if self._database is None:
            raise GatewayClosedError("the book of domains is not open")
        return self._database
