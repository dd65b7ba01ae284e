"""Migrations on a real Postgres."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from imgq_db.engine import make_engine
from imgq_db.errors import SchemaOutdated
from imgq_db.migrate import check_revision, current_revision, head_revision, upgrade
from imgq_db.settings import Settings
from imgq_db.tables import Table


@pytest.fixture
def empty(engine: Engine) -> Engine:
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    return engine


def test_migrations_create_exactly_the_declared_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Table.metadata) == []


def test_eight_starters_at_once_migrate_once(empty: Engine, settings: Settings) -> None:
    starters = [make_engine(settings, role="migrate") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(upgrade, starters))
    for starter in starters:
        starter.dispose()
    assert current_revision(empty) == head_revision()


def test_another_schema_is_refused_with_the_command_that_mends_it(empty: Engine) -> None:
    with pytest.raises(SchemaOutdated, match="no imgq tables") as refused:
        check_revision(empty)
    assert refused.value.hint == "imgq db upgrade"
    upgrade(empty)
    check_revision(empty)
