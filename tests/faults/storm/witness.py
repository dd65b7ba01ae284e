"""What the storm sees for itself in its database, and does to the clock there.

Commits are noted by the clock of the machine: that of the ledger is stepped by hours.
"""

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from imgq_db.engine import is_outage

#: (what, id): when a chunk was first committed, when a job ended.
_SEEN = """
CREATE TABLE storm_seen (what text NOT NULL, id bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX storm_seen_at ON storm_seen (what, at);
CREATE FUNCTION storm_see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO storm_seen (what, id) VALUES (TG_ARGV[0], NEW.id); RETURN NULL; END $$;
CREATE TRIGGER storm_chunk AFTER UPDATE OF state ON chunk FOR EACH ROW
    WHEN (NEW.state = 'done' AND OLD.state <> 'done') EXECUTE FUNCTION storm_see('chunk');
CREATE TRIGGER storm_job AFTER UPDATE OF finished_at ON job FOR EACH ROW
    WHEN (NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL)
    EXECUTE FUNCTION storm_see('job');
"""
_CLOCK = "CREATE OR REPLACE FUNCTION imgq_now() RETURNS timestamptz LANGUAGE sql VOLATILE"


def watch_commits(engine: Engine) -> None:
    """Note each commit of a chunk, and each end of a job, from now on."""
    with engine.begin() as connection:
        connection.execute(text(_SEEN))


def set_clock(engine: Engine, *, ahead_hours: float) -> bool:
    """Let the ledger's clock be so far ahead of the machine's. False: Postgres is away."""
    says = f"$$ SELECT clock_timestamp() + interval '{ahead_hours:.4f} hours' $$"
    try:
        with engine.begin() as connection:
            connection.execute(text(f"{_CLOCK} PARALLEL SAFE AS {says}"))
    except DBAPIError as error:
        if not is_outage(error):
            raise
        return False
    return True
