"""What a dry run finds out: how much there is to do, and how long that would take."""

from dataclasses import dataclass

from sqlalchemy import Engine, text

from imgq_db.workers import COULD_CLAIM

#: The error code of a picture that a dry run leaves to the real job.
TO_DO = "to_do"


@dataclass(frozen=True, slots=True)
class Estimate:
    """Counts that add up to `seen`. cached: known already, or a copy of one of the same chunk."""

    seen: int
    cached: int
    to_do: int
    failed: int
    skipped: int
    #: of one worker, None if nothing was there to measure it with
    images_per_second: float | None
    #: how many could have taken part when it was measured
    workers: int | None

    @property
    def eta_seconds(self) -> float | None:
        """What is to do would take so long; None while no speed is known."""
        if not self.to_do:
            return 0.0
        if not self.images_per_second or not self.workers:
            return None
        return self.to_do / (self.images_per_second * self.workers)


# The sample of the most pictures stands: of a few the ends weigh too much.
_STORE_SAMPLE = f"""
UPDATE job j SET sampled_images = :images, sampled_per_second = :speed,
    sampled_workers = greatest(1, (SELECT count(*) FROM worker w WHERE {COULD_CLAIM}))
WHERE j.id = :job_id AND j.sampled_images < :images
"""


def sampled_images(engine: Engine, job_id: int) -> int:
    """Return how many pictures a dry run's speed was measured with so far; 0: not yet."""
    with engine.connect() as connection:
        sampled = connection.execute(
            text("SELECT sampled_images FROM job WHERE id = :job_id"), {"job_id": job_id}
        ).scalar()
    return sampled or 0


def store_sample(engine: Engine, job_id: int, *, images: int, images_per_second: float) -> None:
    """Keep the speed of a sample, unless one of as many pictures or more is there."""
    values = {"job_id": job_id, "images": images, "speed": images_per_second}
    with engine.begin() as connection:
        connection.execute(text(_STORE_SAMPLE), values)
