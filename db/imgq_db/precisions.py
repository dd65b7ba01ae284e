"""The precision of a job whose caller left it open: settled by the first worker that has loaded its
model, for good. All rows of a job are of one precision."""

from sqlalchemy import Connection, Engine, text

from imgq_db.engine import single_statements
from imgq_db.options import AUTO

# Two workers may try at once: the second waits for the first one's word, and finds it.
_SETTLE = f"UPDATE job SET precision = :precision WHERE id = :id AND precision = '{AUTO}'"
_IS_SETTLED = "SELECT 1 FROM job WHERE id = :id AND precision = :precision"


class OtherPrecision(Exception):
    """Another worker settled the job's precision, on another one, while this one was loading."""


def settle_precision(engine: Engine, job_id: int, precision: str) -> None:
    """Let a job be computed in a precision, for good. Raises OtherPrecision."""
    with single_statements(engine) as connection:
        settle(connection, job_id, precision)


def settle(connection: Connection, job_id: int, precision: str) -> None:
    """Do so in the caller's transaction, which others that try then wait for."""
    keys = {"id": job_id, "precision": precision}
    connection.execute(text(_SETTLE), keys)
    if connection.execute(text(_IS_SETTLED), keys).first() is None:
        raise OtherPrecision(f"job {job_id} is not computed in {precision}")
