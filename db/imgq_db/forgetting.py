"""Forgetting: a cache table stays under a row cap; what was used longest ago goes first."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

#: Rows forgotten in one transaction.
BATCH = 20_000
#: Rows are counted in so many blocks of a table, the same ones each time: 32 MB, about 40 ms.
SAMPLE_BLOCKS = 4_096
#: The day of a row's last use. The database's clock and time zone (UTC) give it.
TODAY = "(SELECT imgq_now()::date)"


@dataclass(frozen=True, slots=True)
class CacheTable:
    """A table whose rows may go at any time.

    key: condition that picks rows by the parameter `keys`, a bytea[].
    row_bytes: the least that a row takes.
    """

    name: str
    key: str
    row_bytes: int


def forget_unused(engine: Engine, table: CacheTable, *, rows_kept: int) -> int:
    """Remove a batch of what was used longest ago; return how many rows. 0: under the cap.

    Large tables are counted by a sample, so that the cap is kept to about 2 %.
    """
    with engine.begin() as connection:
        if not _alone(connection, table):
            return 0
        excess = _count_about(connection, table, rows_kept) - rows_kept
        if excess <= 0:
            return 0
        # A row that is locked is in use, so that nobody need wait for it.
        oldest = f"SELECT ctid FROM {table.name} ORDER BY used_on LIMIT :batch"
        return connection.execute(
            text(
                f"DELETE FROM {table.name} WHERE ctid = ANY(ARRAY({oldest} FOR UPDATE SKIP LOCKED))"
            ),
            {"batch": min(BATCH, excess)},
        ).rowcount


def mark_used(
    connection: Connection, table: CacheTable, keys: Collection[bytes], **values: object
) -> None:
    """Write today as these rows' last use; rows that somebody holds are left as they are.

    values: what else table.key names. Call it for rows of an earlier day only: reading must not
    mean writing. It waits for nobody, so it can take part in no deadlock.
    """
    found = f"SELECT ctid FROM {table.name} WHERE {table.key} AND used_on < {TODAY}"
    connection.execute(
        text(
            f"UPDATE {table.name} SET used_on = {TODAY}"
            f" WHERE ctid = ANY(ARRAY({found} FOR UPDATE SKIP LOCKED))"
        ),
        {"keys": bytea_array(keys), **values},
    )


def bytea_array(values: Iterable[bytes]) -> str:
    """Return byte strings as one bytea[] literal: a constant each costs the server three times."""
    return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"


def _alone(connection: Connection, table: CacheTable) -> bool:
    """Tell whether no other reconciler is at it; two would each remove the same excess."""
    lock = text("SELECT pg_try_advisory_xact_lock(CAST(CAST(:table AS regclass) AS oid)::bigint)")
    return bool(connection.execute(lock, {"table": table.name}).scalar_one())


def _count_about(connection: Connection, table: CacheTable, rows_kept: int) -> int:
    """Count the rows: exactly in a small table, by a sample of its blocks in a large one.

    The server's own estimates do not know of the batch before, nor survive a crash.
    """
    size = "SELECT pg_relation_size(:table), current_setting('block_size')::int"
    table_bytes, block_bytes = connection.execute(text(size), {"table": table.name}).one()
    if table_bytes <= rows_kept * table.row_bytes:  # there cannot be too many
        return 0
    percent: float = min(100.0, 100.0 * SAMPLE_BLOCKS * block_bytes / table_bytes)
    sampled = connection.execute(
        text(
            f"SELECT count(*) FROM {table.name}"
            " TABLESAMPLE SYSTEM (CAST(:percent AS real)) REPEATABLE (0)"
        ),
        {"percent": percent},
    ).scalar_one()
    return round(int(sampled) * 100 / percent)
