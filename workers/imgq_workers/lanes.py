"""Chunks side by side: the next one begins while the last pictures of this one are computed."""

import math
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import Self

from imgq_db.chunks import ChunkLease, Model
from imgq_trainer.errors import DeviceBroken
from imgq_workers.classifying import classify_chunk
from imgq_workers.context import WorkerContext

#: A worker stays with the model in its memory for so long while jobs of another one wait: loading
#: takes seconds.
MODEL_TURN_SECONDS = 10
#: More chunks than this are not begun, however many threads wait for pictures.
MOST_LANES = 8


@dataclass(frozen=True, slots=True)
class _Lane:
    lease: ChunkLease
    handed_out: Event
    result: Future[bool]


class Lanes:
    """The chunks that a process works on, each in a thread that waits for the crew.

    A chunk is begun when all pictures of the others are handed out to the crew, so that its
    threads never wait for a claim or a commit. One lane more than that takes is enough.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        settings = context.settings
        pictures = context.crew.runs_underway * settings.batch_size
        self._most = min(1 + math.ceil(pictures / settings.chunk_size), MOST_LANES)
        self._threads = ThreadPoolExecutor(self._most, "lane")
        self._underway: list[_Lane] = []
        self._model: Model | None = None
        self._model_since = 0.0
        #: how many chunks were finished
        self.finished = 0

    @property
    def preferred(self) -> Model | None:
        """The model to stay with; None when it is another one's turn."""
        turn_over = time.monotonic() - self._model_since >= MODEL_TURN_SECONDS
        return None if turn_over else self._model

    @property
    def only(self) -> Model | None:
        """The one model that a chunk can be begun of now: a second one is not kept in memory."""
        return self._underway[0].lease.model if self._underway else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    def await_room(self) -> None:
        """Wait until another chunk can begin. Raises what a chunk's work raised."""
        for lane in self._underway:
            lane.handed_out.wait()
        wait([lane.result for lane in self._underway if lane.lease.errors])
        if len(self._underway) == self._most:
            wait([lane.result for lane in self._underway], return_when=FIRST_COMPLETED)
        self._gather()

    def await_all(self) -> bool:
        """Wait until every chunk is done. False: none was underway."""
        waited = bool(self._underway)
        wait([lane.result for lane in self._underway])
        self._gather()
        return waited

    def start(self, lease: ChunkLease) -> None:
        """Classify a chunk; one that holds suspects begins alone.

        One that failed before is alone to its end: should it end the process, no other chunk is
        there to be blamed for it.
        """
        self._context.breadcrumbs.take(lease)
        # Or another worker settled its precision just now.
        if lease.suspects or lease.errors or self.only not in (None, lease.model):
            self._await_all_for(lease)
        if lease.model != self._model:
            self._model, self._model_since = lease.model, time.monotonic()
        handed_out = Event()
        result = self._threads.submit(self._classify, lease, handed_out)
        result.add_done_callback(lambda _: handed_out.set())
        self._underway.append(_Lane(lease, handed_out, result))

    def _await_all_for(self, lease: ChunkLease) -> None:
        try:
            self.await_all()
        except BaseException:
            self._context.breadcrumbs.drop(lease)  # its work never begins
            raise

    def _classify(self, lease: ChunkLease, handed_out: Event) -> bool:
        try:
            return classify_chunk(self._context, lease, handed_out)
        finally:
            self._context.breadcrumbs.drop(lease)

    def _gather(self) -> None:
        """Forget the chunks that are done, have them counted; raise what one of them raised."""
        done = [lane for lane in self._underway if lane.result.done()]  # asked once
        self._underway = [lane for lane in self._underway if lane not in done]
        errors = [error for lane in done if (error := lane.result.exception()) is not None]
        for lane in done:
            if lane.result.exception() is None and lane.result.result():
                self._count(lane.lease)
        if errors:  # of several the one that ends the process
            raise next((each for each in errors if isinstance(each, DeviceBroken)), errors[0])

    def _count(self, lease: ChunkLease) -> None:
        context = self._context
        self.finished += 1
        context.counting.add(context.engine, lease.job_id, lease.job_uid)
        context.presence.tell(job=lease.job_uid, finished=len(lease.names))
