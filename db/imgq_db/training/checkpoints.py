"""Registered checkpoints: the only ones that a training is resumed from."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was whole when it was registered.

    path: relative to the folder that attempts work in. seq: its place among the events.
    """

    path: Path
    sha256: str
    stage: str
    run: int
    epoch: int
    seq: int


def checkpoints_of(connection: Connection, job_id: int) -> tuple[Checkpoint, ...]:
    """Return a job's checkpoints, the newest first."""
    rows = connection.execute(
        text(
            "SELECT path, sha256, stage, run, epoch, seq FROM checkpoint WHERE job_id = :id"
            " ORDER BY seq DESC"
        ),
        {"id": job_id},
    )
    return tuple(
        Checkpoint(Path(row.path), row.sha256, row.stage, row.run, row.epoch, row.seq)
        for row in rows
    )
