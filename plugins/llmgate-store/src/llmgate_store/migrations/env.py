"""What Alembic runs to migrate: on the connection that it is handed, in that connection's transaction."""

from __future__ import annotations

from alembic import context

from llmgate_store.records import tables as records  # noqa: F401 - they are in the same metadata
from llmgate_store.schema import VERSION_TABLE
from llmgate_store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
context.run_migrations()
