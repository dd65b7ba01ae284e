"""Alembic's entry: runs the migrations on the connection that `imgq_db.migrate` hands over."""

from alembic import context

from imgq_db.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
