"""The prediction cache: a picture is computed once, whatever it is called and wherever it lies.

A prediction depends on the picture's bytes, the model version, and how it was computed: the last
two are a recipe. Only predictions are kept, never failures, and no job owns them.
"""

import struct
from collections.abc import Collection, Mapping
from itertools import chain
from typing import NamedTuple

from sqlalchemy import Engine, text

from imgq_db.forgetting import TODAY, CacheTable, bytea_array, forget_unused, mark_used

#: A label's index and its score, as they are packed: unsigned 16 bit, float32.
ENTRY_BYTES = 6
_PREDICTIONS = CacheTable(
    "known_prediction",
    "recipe_id = :recipe AND digest = ANY(CAST(:keys AS bytea[]))",
    row_bytes=80,
)
# A version with fewer labels than were asked for is known whole.
_LABELS = """SELECT nullif(jsonb_array_length(v.labels), 0) FROM recipe r
    JOIN model_version v ON v.id = r.model_version_id WHERE r.id = :recipe"""

_SHORTER = "length(known.top) < length(excluded.top)"
_OTHER = "substring(known.top FOR length(excluded.top)) <> excluded.top"


class Known(NamedTuple):
    """A prediction that was computed before: label indices and scores (float32), best first."""

    top: tuple[int, ...]
    scores: tuple[float, ...]


def recipe_id(engine: Engine, version_id: int, how: str) -> int:
    """Return the number of a recipe, giving it one at its first use.

    how: names engine, decoder and precision with their versions.
    """
    keys = {"version": version_id, "how": how}
    found = "SELECT id FROM recipe WHERE model_version_id = :version AND how = :how"
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO recipe (model_version_id, how) SELECT :version, :how"
                f" WHERE NOT EXISTS ({found}) ON CONFLICT DO NOTHING"
            ),
            keys,
        )
        return int(connection.execute(text(found), keys).scalar_one())


def recall(
    engine: Engine, recipe: int, digests: Collection[bytes], *, top_k: int
) -> dict[bytes, Known]:
    """Return what is known of these pictures to top_k labels, or to all that the version has."""
    if not digests:
        return {}
    with engine.begin() as connection:
        rows = connection.execute(
            text(
                f"SELECT digest, substring(top FOR :bytes), used_on < {TODAY}"
                f" FROM known_prediction WHERE {_PREDICTIONS.key}"
                f" AND length(top) >= least(:bytes, {ENTRY_BYTES} * ({_LABELS}))"
            ),
            {"recipe": recipe, "keys": bytea_array(digests), "bytes": top_k * ENTRY_BYTES},
        ).all()
        if stale := [bytes(row[0]) for row in rows if row[2]]:
            mark_used(connection, _PREDICTIONS, stale, recipe=recipe)
    return {bytes(digest): _unpack(top) for digest, top, _ in rows}


def remember(
    engine: Engine, recipe: int, predictions: Mapping[bytes, Known], *, anew: bool = False
) -> None:
    """Keep predictions for later jobs. One with more labels replaces one with fewer.

    anew: computed whatever is known, so one replaces any other that it does not just begin.
    """
    if not predictions:
        return
    # In one order everywhere, so that two workers never wait for each other's rows.
    digests = sorted(predictions)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO known_prediction AS known (recipe_id, used_on, digest, top)"
                f" SELECT :recipe, {TODAY}, digest, top"
                " FROM unnest(CAST(:digests AS bytea[]), CAST(:tops AS bytea[]))"
                " AS new(digest, top) ON CONFLICT (recipe_id, digest) DO UPDATE"
                " SET top = excluded.top, used_on = excluded.used_on"
                f" WHERE {_OTHER if anew else _SHORTER}"
            ),
            {
                "recipe": recipe,
                "digests": bytea_array(digests),
                "tops": bytea_array(_pack(predictions[digest]) for digest in digests),
            },
        )


def purge_cache(engine: Engine, *, rows_kept: int) -> int:
    """Forget a batch of the predictions used longest ago; return how many. 0: under the cap."""
    return forget_unused(engine, _PREDICTIONS, rows_kept=rows_kept)


def _pack(known: Known) -> bytes:
    entries = chain.from_iterable(zip(known.top, known.scores, strict=True))
    return struct.pack("<" + "Hf" * len(known.top), *entries)


def _unpack(packed: bytes) -> Known:
    entries = struct.unpack("<" + "Hf" * (len(packed) // ENTRY_BYTES), packed)
    return Known(entries[::2], entries[1::2])
