"""Failures of workers at jobs: who failed, why, when to try again, and when to end the job.

One sick worker must not end a job that another could do: a job ends only when every worker that is
there and could do it has failed at it, or had half an hour to try.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from imgq_db.chunks import ChunkLease
from imgq_db.errors import LeaseLost
from imgq_db.listing import ListingLease
from imgq_db.workers import COULD_CLAIM

#: The first failure is tried again after so long, the next after twice that, four times …
FIRST_PAUSE_SECONDS = 1
LONGEST_PAUSE_SECONDS = 60
#: A worker that is there and has not tried is waited for until the others failed so often, for so
#: long: it may be one whose child hangs, or dies whenever it begins.
FAILURES_WITHOUT_IT = 10
UNTRIED_SECONDS = 1800
#: Of what a failure says, so much is kept.
WHY_CHARACTERS = 1_000


class FailureKind(StrEnum):
    MODEL = "model"  # the job's model does not load
    SOURCE = "source"  # a chunk's folder cannot be opened
    CHUNK = "chunk"  # classifying a chunk raised, or its process died with no picture to blame
    LISTING = "listing"  # the folder cannot be listed

    @property
    def least(self) -> int:
        """How many failures end a job at least. A wrong path is told at once."""
        return 1 if self is FailureKind.LISTING else 3


@dataclass(frozen=True, slots=True)
class Failure:
    """What one worker failed at. worker: its uid. why: for people."""

    worker: UUID
    kind: FailureKind
    why: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody held when it failed. chunk_id: None for a listing, whose token then counts."""

    job_id: int
    chunk_id: int | None
    token: int
    owner: UUID | None


@dataclass(frozen=True, slots=True)
class Setback:
    """What a failure means for the job.

    failures: of this kind, since a chunk was finished, or of this chunk. workers: who failed, as
    host:pid. pause_seconds: for so long the worker leaves it alone. final: no worker is left that
    could do better.
    """

    failures: int
    workers: tuple[str, ...]
    pause_seconds: float
    final: bool


_HELD_CHUNK = "id = :chunk_id AND token = :token AND owner = :owner AND state = 'leased'"
_HELD_LISTING = """id = :job_id AND listing_token = :token AND state = 'running'
    AND listed_at IS NULL"""
# Chunks side by side that fail at the same model or folder are one failure, not several tries.
_INSERT = f"""
INSERT INTO job_failure (job_id, chunk_id, worker, worker_name, kind, why)
SELECT :job_id, :chunk_id, :worker, (SELECT host || ':' || pid FROM worker WHERE uid = :worker),
    :kind, :why
WHERE :kind = 'chunk' OR NOT EXISTS (SELECT 1 FROM job_failure
    WHERE job_id = :job_id AND worker = :worker AND kind = :kind
    AND at > (SELECT imgq_now()) - interval '{FIRST_PAUSE_SECONDS} seconds')
"""
# A chunk that was finished proves that the model loads and the folder opens: what failed before it
# is forgotten. A chunk that raises proves nothing of others.
_WEIGH = f"""
WITH counted AS (
    SELECT worker, coalesce(worker_name, CAST(worker AS text)) AS name, at FROM job_failure f
    WHERE job_id = :job_id AND kind = :kind AND CASE WHEN kind = 'chunk' THEN chunk_id = :chunk_id
        ELSE at > coalesce((SELECT max(done_at) FROM chunk
            WHERE job_id = :job_id AND state = 'done'), '-infinity') END)
SELECT count(*) AS failures, count(*) FILTER (WHERE worker = :worker) AS own,
    coalesce(array_agg(DISTINCT name ORDER BY name), '{{}}') AS workers,
    EXISTS (SELECT 1 FROM worker w, job j WHERE j.id = :job_id AND {COULD_CLAIM}
        AND w.uid NOT IN (SELECT worker FROM counted)) AS untried,
    count(*) >= {FAILURES_WITHOUT_IT}
        AND min(at) < imgq_now() - interval '{UNTRIED_SECONDS} seconds' AS waited
FROM counted
"""
# The others go first, if there are any: the chunk waits by its own failures, whoever's they are.
_GIVE_BACK = f"""
UPDATE chunk SET state = 'pending', owner = NULL, lease_until = NULL, errors = errors + 1,
    not_before = imgq_now() + interval '{FIRST_PAUSE_SECONDS} seconds'
        * least(power(2, least(errors, 10)), {LONGEST_PAUSE_SECONDS}),
    failed_by = CASE WHEN :untried THEN CAST(:worker AS uuid) END
WHERE {_HELD_CHUNK}
"""
_GIVE_LISTING_BACK = f"""
UPDATE job SET listing_until = NULL WHERE {_HELD_LISTING}
"""


def fail_chunk(engine: Engine, lease: ChunkLease, failure: Failure) -> Setback | None:
    """Give a chunk back after a failure, to be tried again later. None: the claim was lost.

    Whoever gets a final setback ends the job.
    """
    claim = Claim(lease.job_id, lease.chunk_id, lease.token, lease.owner)
    return fail_claim(engine, claim, failure)


def fail_listing(engine: Engine, lease: ListingLease, failure: Failure) -> Setback | None:
    """Give a listing back after a failure, to be tried again later. None: the claim was lost."""
    return fail_claim(engine, Claim(lease.job_id, None, lease.token, None), failure)


def fail_claim(engine: Engine, claim: Claim, failure: Failure) -> Setback | None:
    """Do the same for the claim of a process that is dead, too."""
    try:
        with engine.begin() as connection:
            return note_failure(connection, claim, failure)
    except LeaseLost:
        return None


def _storable(why: str) -> str:
    """Return a text that Postgres takes: an error may quote a file's name, which is any bytes."""
    plain = why.encode("utf-8", "backslashreplace").decode()
    return plain.replace("\0", "\N{REPLACEMENT CHARACTER}")[:WHY_CHARACTERS]


def note_failure(connection: Connection, claim: Claim, failure: Failure) -> Setback:
    """Note a failure and give its claim back, in the caller's transaction.

    Raises LeaseLost, and has written nothing, if the claim is not held; its job may be gone.
    """
    keys = {
        **asdict(claim),
        "worker": failure.worker,
        "kind": failure.kind.value,
        "why": _storable(failure.why),
    }
    listing = claim.chunk_id is None
    held = f"job WHERE {_HELD_LISTING}" if listing else f"chunk WHERE {_HELD_CHUNK}"
    if connection.execute(text(f"SELECT 1 FROM {held} FOR UPDATE"), keys).first() is None:
        raise LeaseLost(f"a part of job {claim.job_id}")
    connection.execute(text(_INSERT), keys)
    weighed = connection.execute(text(_WEIGH), keys).one()
    repeated = weighed.failures if failure.kind is FailureKind.CHUNK else weighed.own
    doubled = FIRST_PAUSE_SECONDS * 2 ** min(max(repeated - 1, 0), 10)
    pause = float(min(doubled, LONGEST_PAUSE_SECONDS))
    keys["untried"] = weighed.untried
    connection.execute(text(_GIVE_LISTING_BACK if listing else _GIVE_BACK), keys)
    alone = weighed.waited or not weighed.untried
    final = weighed.failures >= failure.kind.least and alone
    return Setback(weighed.failures, tuple(weighed.workers), pause, final)
