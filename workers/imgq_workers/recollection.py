"""What earlier jobs found out about a chunk's pictures, and what this one adds to it."""

import time
from collections.abc import Collection, Mapping, Sequence

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from imgq_db.cache import Known, recall, recipe_id, remember
from imgq_db.chunks import ChunkLease
from imgq_db.engine import is_outage
from imgq_db.known_files import FileStamp, is_settled, known_files, remember_files
from imgq_db.settings import Settings
from imgq_db.sources import source_place
from imgq_trainer.outcomes import Outcome, Prediction, Stamp

_log = structlog.get_logger(__name__)


def recipe_name(engine: str, settings: Settings) -> str:
    """Name all that decides what becomes of a file's bytes. engine: see `Classifier.engine`."""
    return f"{engine}/{settings.max_pixels}-pixels-{settings.max_file_bytes}-bytes"


class Recollection:
    """Answers the threads that classify a chunk: see `imgq_trainer.recalling.Recall`."""

    def __init__(self, engine: Engine, lease: ChunkLease, *, how: str, files: bool) -> None:
        """Look the whole chunk up at once; none of its files may be open yet.

        how: see `recipe_name`. files: whether unchanged files are known without reading.
        """
        self._engine = engine
        self._lease = lease
        self._place = source_place(lease.source)
        self._began_ns = time.time_ns()
        self._recipe = recipe_id(engine, lease.model_version_id, how)
        self._keeps_files = files
        self._files: dict[bytes, tuple[FileStamp, bytes]] = {}
        self._known: dict[bytes, Prediction] = {}
        if files and lease.options.cache:
            self._files = known_files(engine, self._place, lease.names)
            self._look_up({digest for _, digest in self._files.values()})

    def unchanged(self, name: bytes, stamp: Stamp) -> Prediction | None:
        """Return the prediction of a file that is as it was when it was last read."""
        then, digest = self._files.get(name, ((), b""))
        return self._known.get(digest) if tuple(then) == tuple(stamp) else None

    def known(self, digests: Sequence[bytes]) -> Mapping[bytes, Prediction]:
        """Return the predictions that were made of the same bytes."""
        self._look_up([digest for digest in digests if digest not in self._known])
        return {digest: self._known[digest] for digest in digests if digest in self._known}

    def learn(self, predictions: Sequence[Prediction]) -> None:
        """Take note of what was computed, for the files that follow."""
        self._known |= {prediction.digest: prediction for prediction in predictions}

    def keep(self, outcomes: Sequence[Outcome]) -> None:
        """Store what is new among the chunk's outcomes. If the database is away, nothing is."""
        found = {
            name: outcome
            for name, outcome in zip(self._lease.names, outcomes, strict=True)
            if isinstance(outcome, Prediction)
        }
        try:
            self._keep_predictions(found.values())
            self._keep_files(found)
        except SQLAlchemyError as error:
            if not is_outage(error) and not isinstance(error, DBAPIError):
                raise
            _log.warning("not_remembered", error=str(error).strip())

    def _look_up(self, digests: Collection[bytes]) -> None:
        top_k = self._lease.options.top_k
        for digest, known in recall(self._engine, self._recipe, digests, top_k=top_k).items():
            self._known[digest] = Prediction(digest, known.top, known.scores, cached=True)

    def _keep_predictions(self, found: Collection[Prediction]) -> None:
        new = {one.digest: Known(one.top, one.scores) for one in found if not one.cached}
        remember(self._engine, self._recipe, new, anew=not self._lease.options.cache)

    def _keep_files(self, found: Mapping[bytes, Prediction]) -> None:
        if not self._keeps_files:
            return
        stamped = {
            name: (FileStamp(*one.stamp), one.digest)
            for name, one in found.items()
            if one.stamp is not None
        }
        new = {
            name: (stamp, digest)
            for name, (stamp, digest) in stamped.items()
            if is_settled(stamp, self._began_ns) and self._files.get(name) != (stamp, digest)
        }
        remember_files(self._engine, self._place, new)
