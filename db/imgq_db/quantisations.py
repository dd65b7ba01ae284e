"""What int8 needs: a model version's measured ranges, the same for every worker, and its agreement
with exact arithmetic on a job's own pictures."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine, text

from imgq_db.manifests import unpack_names

#: Below it, among the pictures that exact arithmetic is sure of, the job's reader is warned.
GOOD_SHARE = 0.99
#: A sample of a job's names is taken from so many of its chunks.
_SAMPLED_CHUNKS = 16

# Evenly over what is listed by now; each is one look into the index. Suspects are left out: nobody
# else may be underway while one is decoded.
_SAMPLE = """
SELECT DISTINCT c.first_image, c.manifest, ARRAY(SELECT image FROM suspect s
    WHERE s.job_id = :job_id AND s.image >= c.first_image AND s.image < c.first_image + c.images)
    AS suspects
FROM job j, generate_series(0, :chunks - 1) part, LATERAL (
    SELECT first_image, images, manifest FROM chunk
    WHERE job_id = j.id AND first_image <= j.listed_images * part / :chunks
    ORDER BY first_image DESC LIMIT 1) c
WHERE j.id = :job_id ORDER BY c.first_image
"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A job's labels beside those of exact arithmetic, on a sample of its pictures.

    sure: pictures whose exact confidence is above 0.5. same, same_sure: those with the same label.
    score_difference: of a label that both give, in the mean; None if there was no such picture.
    """

    pictures: int
    same: int
    sure: int
    same_sure: int
    score_difference: float | None

    @property
    def good(self) -> bool:
        """Whether what exact arithmetic is sure of stays as it is, but for 1 %."""
        return self.same_sure >= GOOD_SHARE * self.sure


def find_ranges(engine: Engine, version_id: int, how: str) -> bytes | None:
    """Return a model version's ranges; None if they were never measured.

    how: what they are good for. Other ways to quantise have ranges of their own.
    """
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT ranges FROM quantisation WHERE model_version_id = :version AND how = :how"
            ),
            {"version": version_id, "how": how},
        ).scalar()
    return None if found is None else bytes(found)


def keep_ranges(
    engine: Engine, version_id: int, how: str, ranges: bytes, *, pictures: int
) -> bytes:
    """Store a model version's ranges for good, and return those that hold.

    Of several workers that measured at the same time, the first one's hold for all.
    """
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO quantisation (model_version_id, how, ranges, pictures)"
                " VALUES (:version, :how, :ranges, :pictures) ON CONFLICT DO NOTHING"
            ),
            {"version": version_id, "how": how, "ranges": ranges, "pictures": pictures},
        )
    held = find_ranges(engine, version_id, how)
    assert held is not None
    return held


def sample_images(engine: Engine, job_id: int, *, count: int) -> tuple[tuple[int, bytes], ...]:
    """Return so many of a job's files at most, spread over what is listed by now.

    Each by its image number and its name.
    """
    with engine.connect() as connection:
        rows = connection.execute(text(_SAMPLE), {"job_id": job_id, "chunks": _SAMPLED_CHUNKS})
        images = [
            (image, name)
            for row in rows
            for image, name in enumerate(unpack_names(row.manifest), row.first_image)
            if image not in row.suspects
        ]
    taken = min(count, len(images))
    return tuple(images[part * len(images) // taken] for part in range(taken))


def is_listed(engine: Engine, job_id: int) -> bool:
    """Tell whether all names of a job's files are known."""
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT listed_at IS NOT NULL FROM job WHERE id = :id"), {"id": job_id}
        )
        return bool(found.scalar())


def has_agreement(engine: Engine, job_id: int) -> bool:
    """Tell whether a job's agreement was measured."""
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT agreement IS NOT NULL FROM job WHERE id = :id"), {"id": job_id}
        )
        return bool(found.scalar())


def store_agreement(engine: Engine, job_id: int, agreement: Agreement) -> None:
    """Keep a job's agreement; the first one stays."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE job SET agreement = CAST(:agreement AS jsonb)"
                " WHERE id = :id AND agreement IS NULL"
            ),
            {"id": job_id, "agreement": json.dumps(asdict(agreement))},
        )


def agreement_from_row(stored: dict[str, Any] | None) -> Agreement | None:
    """Return the value of a job's column."""
    return None if stored is None else Agreement(**stored)
