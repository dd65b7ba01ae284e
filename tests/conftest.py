"""Real services for every test that asks: Postgres and Valkey, started once for the whole run."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Engine, text

from imgq_cli.stack.services import Services, services
from imgq_db.engine import make_engine
from imgq_db.migrate import upgrade
from imgq_db.settings import Settings

PHOTOS = Path(__file__).parent.parent / "demo" / "photos"
CLOCK = "CREATE OR REPLACE FUNCTION imgq_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
DATA_TABLES = (
    "job, chunk, prediction, api_key, idempotency, worker, model_alias, alias_change,"
    " recipe, known_prediction, known_file, quantisation,"
    " training, training_epoch, checkpoint, training_log, suspect, job_failure, job_summary"
)

_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def short_tracebacks() -> None:
    """Log exceptions without every frame's variables, which take seconds to draw."""
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    configured = structlog.get_config()["processors"]
    structlog.configure(processors=[*configured[:-1], plain])


@pytest.fixture(scope="session")
def running_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Postgres and Valkey of this test run, without durability."""
    with services(tmp_path_factory.mktemp("services"), durable=False) as running:
        yield running


@pytest.fixture(scope="session")
def template_database(running_services: Services) -> str:
    """A migrated database that the modules' databases are copied from."""
    template = Settings(database_url=running_services.database_url)
    engine = make_engine(template, role="migrate")
    upgrade(engine)
    engine.dispose()
    return str(engine.url.database)


@pytest.fixture(scope="module")
def module_database(running_services: Services, template_database: str) -> str:
    """The URL of this module's own database."""
    name = f"module_{next(_numbers)}"
    server = Settings(database_url=running_services.database_url.rpartition("/")[0] + "/postgres")
    admin = make_engine(server, role="migrate")
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template_database}"'))
    admin.dispose()
    return running_services.database_url.rpartition("/")[0] + "/" + name


@pytest.fixture
def settings(running_services: Services, module_database: str, tmp_path: Path) -> Settings:
    """Settings of a local installation, with short leases."""
    return Settings(
        database_url=module_database,
        redis_url=running_services.redis_url,
        instance=f"test{next(_numbers)}",
        home=tmp_path / "home",
        data_dir=tmp_path / "data",
        local_files=True,
        lease_seconds=2,
        beat_seconds=0.3,
        poll_seconds=0.1,
        train_lease_seconds=2,
        train_beat_seconds=0.3,
        train_stop_seconds=2,
        reconcile_seconds=0.2,
        loop_seconds=5,
        log_level="warning",
    )


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """A migrated database without jobs, whose clock is the real one."""
    made = make_engine(settings, role="worker")
    with made.begin() as connection:
        connection.execute(text(f"TRUNCATE {DATA_TABLES} RESTART IDENTITY"))
        connection.execute(text("DELETE FROM model_version WHERE source <> 'builtin'"))
        connection.execute(text("DELETE FROM model WHERE name <> 'imagenet'"))
        connection.execute(text("DELETE FROM dataset"))
        connection.execute(
            text("UPDATE model_version SET digest = NULL, labels = '[]', preprocessing = '{}'")
        )
        connection.execute(text(CLOCK + "$$ SELECT clock_timestamp() $$"))
    yield made
    made.dispose()


@pytest.fixture
def move_clock(engine: Engine) -> Callable[[float], None]:
    """Move the database's clock: every lifetime in imgq is measured on it."""
    moved = 0.0

    def move(seconds: float) -> None:
        nonlocal moved
        moved += seconds
        shifted = f"$$ SELECT clock_timestamp() + interval '{moved} seconds' $$"
        with engine.begin() as connection:
            connection.execute(text(CLOCK + shifted))

    return move


@pytest.fixture(scope="session")
def photos() -> Path:
    """Six real photographs; demo/CREDITS.md names their authors."""
    return PHOTOS
