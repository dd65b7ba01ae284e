"""Bring the database to this version's schema, one starter at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from imgq_db.errors import SchemaOutdated

# Any number that no other program on this database uses for a lock.
MIGRATION_LOCK = 0x696D6771
LOCK_SECONDS = 120


def upgrade(engine: Engine) -> None:
    """Apply every migration that is missing. Several callers at once wait for the first."""
    with engine.connect() as connection, _migration_lock(engine):
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def current_revision(engine: Engine) -> str | None:
    """Return the database's revision, None where imgq has no tables yet."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def check_revision(engine: Engine) -> None:
    """Raise SchemaOutdated unless the database has exactly this version's schema."""
    found = current_revision(engine)
    if found != head_revision():
        raise SchemaOutdated(found, head_revision())


def head_revision() -> str:
    """Return the revision that this version of imgq needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _migration_lock(engine: Engine) -> Iterator[Connection]:
    # A session lock on a connection of its own: a migration may commit in between.
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_SECONDS}s'"))
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.commit()
        try:
            yield connection
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
            connection.commit()
            connection.invalidate()
