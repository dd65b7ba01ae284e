"""Deaths of worker processes: which pictures they cast suspicion on, and which they condemn.

A process that dies leaves behind which chunks it held and which pictures it was reading or
decoding. If something says that it crashed, these pictures are suspects: each is tried alone before
the rest of its chunk, and one with which a process crashes then is condemned: it fails and is not
opened again in this job. A death that nothing explains (a kill, a machine that stops) counts for
nothing, unless the same picture was there each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

WORKER_CRASH, OUT_OF_MEMORY = "worker_crash", "out_of_memory"
READ_TIMEOUT, DECODE_TIMEOUT = "read_timeout", "decode_timeout"
#: What the reasons of a picture begin with that ended a process while nothing else was underway.
ALONE = "decoding it, and nothing else"
#: So many deaths that nothing explains make a suspect of a picture that was there each time …
SUSPICIOUS_DEATHS = 3
#: … and condemn it if nothing else was underway: a container that is killed whole explains nothing.
LONE_DEATHS = 3


@dataclass(frozen=True, slots=True)
class Suspect:
    """A picture that may end a process. code, reason: of its row, should it be condemned.

    crashes, deaths: while it was decoded a process died, of something that a picture can cause and
    for no known reason. alone, lone_deaths: of these, how many while nothing else was underway.
    """

    image: int
    crashes: int
    alone: int
    deaths: int
    lone_deaths: int
    code: str
    reason: str

    @property
    def condemned(self) -> bool:
        return self.alone > 0 or self.lone_deaths >= LONE_DEATHS


@dataclass(frozen=True, slots=True)
class HeldChunk:
    """A claim as far as a dead process left it."""

    chunk_id: int
    job_id: int
    token: int
    owner: UUID


@dataclass(frozen=True, slots=True)
class Decoded:
    """Images of a job that were being decoded, the last one included."""

    job_id: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Cause:
    """What says that a picture ended a process. code, reason: of a picture condemned for it."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Death:
    """A process that is no more. alone: it decoded one picture, and nothing else was underway."""

    owner: UUID
    held: Sequence[HeldChunk]
    decoded: Sequence[Decoded]
    alone: bool
    cause: Cause | None


_SUSPICIOUS = f"(s.crashes > 0 OR s.deaths >= {SUSPICIOUS_DEATHS})"
#: A column of the statement that claims `chunk c`.
SUSPECTS = f"""
(SELECT jsonb_agg(to_jsonb(s) ORDER BY s.image) FROM suspect s WHERE s.job_id = c.job_id
    AND s.image >= c.first_image AND s.image < c.first_image + c.images AND {_SUSPICIOUS})
AS suspects
"""
# A chunk that was cancelled under the process needs its word no more.
_FREE = """
UPDATE chunk SET state = CASE state WHEN 'leased' THEN 'pending' ELSE state END, owner = NULL,
    lease_until = NULL
WHERE id = :chunk_id AND owner = :owner
    AND (state = 'leased' AND token = :token OR state = 'cancelled')
RETURNING state
"""
# What happened is true whoever holds the chunk by now, so no token is asked. One that has its row
# is not tried again in its chunk; samples must leave it out all the same. A process dies once,
# however often and by whomever that is told.
_SUSPECT = """
INSERT INTO suspect AS known
    (job_id, image, crashes, alone, deaths, lone_deaths, code, reason, died)
SELECT :job_id, image, :crashes, :alone, :deaths, :lone_deaths, :code, :reason,
    ARRAY[CAST(:died AS uuid)]
FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) image
WHERE (SELECT c.state FROM chunk c WHERE c.job_id = :job_id AND c.first_image <= image
       ORDER BY c.first_image DESC LIMIT 1) IN ('pending', 'leased', 'done')
ON CONFLICT (job_id, image) DO UPDATE SET crashes = known.crashes + excluded.crashes,
    alone = known.alone + excluded.alone, deaths = known.deaths + excluded.deaths,
    lone_deaths = known.lone_deaths + excluded.lone_deaths,
    code = coalesce(excluded.code, known.code), reason = coalesce(excluded.reason, known.reason),
    died = known.died || excluded.died
WHERE NOT known.died @> excluded.died
"""
_ON_TRIAL = f"""
SELECT count(*) FROM suspect s WHERE s.job_id = :job_id AND {_SUSPICIOUS}
AND (SELECT c.state FROM chunk c WHERE c.job_id = s.job_id AND c.first_image <= s.image
     ORDER BY c.first_image DESC LIMIT 1) IN ('pending', 'leased')
"""


def report_death(engine: Engine, death: Death) -> int:
    """Give a dead process' chunks back and note its suspects; return the chunks given back.

    One transaction, fenced by token and owner; to report a death again changes nothing.
    """
    with engine.begin() as connection:
        states = [
            connection.execute(
                text(_FREE),
                {"chunk_id": chunk.chunk_id, "token": chunk.token, "owner": chunk.owner},
            ).scalar()
            for chunk in sorted(death.held, key=lambda chunk: chunk.chunk_id)
        ]
        for decoded in sorted(death.decoded, key=lambda each: (each.job_id, each.first)):
            _suspect(connection, decoded, death)
    return states.count("pending")


def _suspect(connection: Connection, decoded: Decoded, death: Death) -> None:
    crashed = death.cause is not None
    connection.execute(
        text(_SUSPECT),
        {
            "job_id": decoded.job_id,
            "first": decoded.first,
            "last": decoded.last,
            "crashes": int(crashed),
            "alone": int(crashed and death.alone),
            "deaths": int(not crashed),
            "lone_deaths": int(not crashed and death.alone),
            "code": death.cause and death.cause.code,
            "reason": death.cause and death.cause.reason,
            "died": death.owner,
        },
    )


def suspects_on_trial(connection: Connection, job_id: int) -> int:
    """Count the pictures of a job that are tried alone, or were condemned, and have no row yet."""
    return int(connection.execute(text(_ON_TRIAL), {"job_id": job_id}).scalar_one())


def suspects_from_row(found: Sequence[Mapping[str, Any]] | None) -> tuple[Suspect, ...]:
    """Build the values from the column SUSPECTS."""
    return tuple(
        Suspect(
            image=row["image"],
            crashes=row["crashes"],
            alone=row["alone"],
            deaths=row["deaths"],
            lone_deaths=row["lone_deaths"],
            code=row["code"] or WORKER_CRASH,
            reason=row["reason"] or "the worker died each time that it was decoded",
        )
        for row in found or ()
    )
