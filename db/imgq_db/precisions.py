"""The precision of a job whose caller left it open: settled by the first worker that has loaded its
model, for good. All rows of a job are of one precision."""

from sqlalchemy import Engine, text

from imgq_db.engine import single_statements
from imgq_db.options import AUTO

# Two workers may try at once: the second waits for the first one's word, and finds it.
_SETTLE = f"UPDATE job SET precision = :precision WHERE id = :id AND precision = '{AUTO}'"
_IS_OTHER = "SELECT 1 FROM job WHERE id = :id AND precision <> :precision"


class OtherPrecision(Exception):
    """Another worker settled the job's precision, on another one, while this one was loading."""


def settle_precision(engine: Engine, job_id: int, precision: str) -> None:
    """Let a job be computed in a precision, for good. Raises OtherPrecision."""
    keys = {"id": job_id, "precision": precision}
    with single_statements(engine) as connection:
        connection.execute(text(_SETTLE), keys)
        if connection.execute(text(_IS_OTHER), keys).first():
            raise OtherPrecision(f"job {job_id} is not computed in {precision}")
