"""What imgq rests on, taken away one thing at a time, and the tests that must miss it.

A patch is of the text as it stands: where that changes, the patch must follow, and a unit test
says so.
"""

from dataclasses import dataclass
from typing import Final

CHUNKS: Final = "db/imgq_db/chunks.py"
ATTEMPTS: Final = "db/imgq_db/training/attempts.py"
CANCELLING: Final = "db/imgq_db/cancelling.py"
COUNTING: Final = "db/imgq_db/counting.py"
CRASHES: Final = "db/imgq_db/crashes.py"
LEASES: Final = "db/imgq_db/training/leases.py"
LISTING: Final = "db/imgq_db/listing.py"
MIGRATION: Final = "db/imgq_db/migrations/versions/0001_initial.py"
ENGINE: Final = "db/imgq_db/engine.py"
RECONCILER: Final = "workers/imgq_workers/reconciler.py"

_CLASSIFYING: Final = "tests/faults/model/test_walks.py::test_classify_jobs_stay_as_they_must"
CLASSIFYING: Final = f"{_CLASSIFYING}_whatever_happens"
TRAINING: Final = (
    "tests/faults/model/test_walks.py::test_trainings_stay_as_they_must_whatever_happens"
)
LOCKS: Final = "tests/faults/points/test_locks.py"
DEATHS: Final = "tests/faults/points/test_chunks.py"
POISON: Final = "tests/integration/test_poison.py"


@dataclass(frozen=True, slots=True)
class Patch:
    """A replacement in one file. old: is there exactly once."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """name: what is missing. tests: of these at least one must fail."""

    name: str
    patches: tuple[Patch, ...]
    tests: tuple[str, ...]


_NO_FENCE: Final = Patch(
    CHUNKS, "cached = :cached\nWHERE {_HELD}\n", "cached = :cached\nWHERE id = :chunk_id\n"
)

MUTATIONS: Final = (
    Mutation("the fence before a chunk's rows", (_NO_FENCE,), (CLASSIFYING,)),
    Mutation(
        "the fence before a chunk's rows, and their primary key",
        (
            _NO_FENCE,
            Patch(
                MIGRATION,
                'sa.PrimaryKeyConstraint("job_id", "image", name=op.f("pk_prediction")),',
                "",
            ),
        ),
        (CLASSIFYING,),
    ),
    Mutation(
        "the owner in the fence: a claim that the server forgot gives its token again",
        (
            Patch(
                CHUNKS,
                "token = :token AND owner = :owner AND state = 'leased'\"",
                "token = :token AND state = 'leased'\"",
            ),
        ),
        (CLASSIFYING,),
    ),
    Mutation(
        "a cancel's new token for chunks",
        (
            Patch(
                CANCELLING,
                "SET state = 'cancelled', token = token + 1\nWHERE id",
                "SET state = 'cancelled'\nWHERE id",
            ),
        ),
        (CLASSIFYING,),
    ),
    Mutation(
        "a cancel's new token for trainings",
        (
            Patch(
                CANCELLING,
                "SET state = 'cancelled', token = token + 1\nWHERE job_id",
                "SET state = 'cancelled'\nWHERE job_id",
            ),
        ),
        (TRAINING,),
    ),
    Mutation(
        "the token of whoever lets a cancelled chunk go",
        (Patch(CHUNKS, ' AND token = :token + 1"', '"'),),
        ("tests/faults/points/test_reconciling.py",),
    ),
    Mutation(
        "the reconciler's round that frees leases",
        (Patch(RECONCILER, "freed = _attempt(lambda: expire_leases(engine))", "freed = 0"),),
        (DEATHS,),
    ),
    Mutation(
        "the reconciler's round that counts what ended early",
        (Patch(RECONCILER, "    _attempt(lambda: store_missing_summary(engine))\n", ""),),
        ("tests/integration/workers/test_reconciler.py",),
    ),
    Mutation(
        "the end of a session that stands still in a transaction",
        (
            Patch(
                ENGINE,
                "idle_in_transaction_seconds: float = 15",
                "idle_in_transaction_seconds: float = 0",
            ),
        ),
        ("tests/integration/db/test_engine.py",),
    ),
    Mutation(
        "the question whether a lease ran out",
        (Patch(CHUNKS, ' AND {is_over("lease_until")}\n', "\n"),),
        (
            "tests/integration/db/test_chunks.py::test_an_expired_lease_frees_the_chunk_for_the_next_claim",
        ),
    ),
    Mutation(
        "the fence before a run of listed chunks",
        (
            Patch(
                LISTING,
                "listed_at = CASE WHEN :last THEN imgq_now() END\nWHERE id = :job_id AND"
                " listing_token = :token AND",
                "listed_at = CASE WHEN :last THEN imgq_now() END\nWHERE id = :job_id AND",
            ),
        ),
        (CLASSIFYING,),
    ),
    Mutation(
        "the rule that only a crash alone condemns a picture",
        (Patch(CRASHES, '"alone": int(crashed and death.alone)', '"alone": int(crashed)'),),
        (CLASSIFYING, POISON),
    ),
    Mutation(
        "the fence of trainings",
        (
            Patch(
                LEASES,
                "job_id = :job_id AND token = :token AND owner = :owner AND state = 'leased'\"",
                'job_id = :job_id"',
            ),
        ),
        (TRAINING,),
    ),
    Mutation(
        "SKIP LOCKED where a chunk is claimed",
        (
            Patch(
                CHUNKS,
                "ORDER BY first_image LIMIT 1 FOR UPDATE SKIP LOCKED",
                "ORDER BY first_image LIMIT 1 FOR UPDATE",
            ),
        ),
        (LOCKS,),
    ),
    Mutation(
        "the claim's one value, which the planner cannot read again for each chunk",
        (
            Patch(CHUNKS, "FROM job j\nWHERE c.id = (SELECT id", "FROM job j, (SELECT id"),
            Patch(
                CHUNKS,
                "SKIP LOCKED)\n  AND j.id = c.job_id",
                "SKIP LOCKED) next\nWHERE c.id = next.id AND j.id = c.job_id",
            ),
        ),
        (LOCKS,),
    ),
    Mutation(
        "SKIP LOCKED where leases expire",
        (Patch(CHUNKS, "LIMIT :limit FOR UPDATE SKIP LOCKED", "LIMIT :limit FOR UPDATE"),),
        (LOCKS,),
    ),
    Mutation(
        "SKIP LOCKED where chunks are cancelled",
        (Patch(CANCELLING, "LIMIT :limit FOR UPDATE SKIP LOCKED", "LIMIT :limit FOR UPDATE"),),
        (LOCKS,),
    ),
    Mutation(
        "SKIP LOCKED where a listing is claimed",
        (Patch(LISTING, "LIMIT 1 FOR UPDATE SKIP LOCKED", "LIMIT 1 FOR UPDATE"),),
        (LOCKS,),
    ),
    Mutation(
        "SKIP LOCKED where a training is claimed",
        (Patch(LEASES, "FOR UPDATE OF j SKIP LOCKED", "FOR UPDATE OF j"),),
        (LOCKS,),
    ),
    Mutation(
        "SKIP LOCKED where trainings expire",
        (Patch(ATTEMPTS, "FOR UPDATE OF j, t SKIP LOCKED", "FOR UPDATE OF j, t"),),
        (LOCKS,),
    ),
    Mutation(
        "SKIP LOCKED where counters are stored",
        (Patch(COUNTING, "    FOR UPDATE SKIP LOCKED)", "    FOR UPDATE)"),),
        (LOCKS,),
    ),
)
