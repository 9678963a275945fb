"""Alembic runs the migrations on the connection that `store.migrate` holds, inside its transaction."""

from alembic import context

from winnow.releases.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
