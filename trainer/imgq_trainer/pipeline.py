"""Files to outcomes: threads take runs of files, and their outcomes come back in order."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack
from pathlib import Path

from imgq_trainer.classifier import Classifier
from imgq_trainer.crew import Crew
from imgq_trainer.decoding import prepare_pillow
from imgq_trainer.engines import EXACT
from imgq_trainer.errors import Stopped
from imgq_trainer.file_pixels import Decoder, ReadLimits
from imgq_trainer.hand import Hand
from imgq_trainer.in_flight import InFlight, untold
from imgq_trainer.outcomes import Outcome
from imgq_trainer.reading import open_root
from imgq_trainer.recalling import Recall

__all__ = ["ReadLimits", "classify_files"]

#: Towards the end of a call the runs get shorter, down to so many pictures: no thread is left
#: with much to do when the others have nothing.
SHORT_RUN = 8
#: how long a slow picture may keep stop() from being asked
STOP_CHECK_SECONDS = 0.25


def never() -> bool:
    return False


def nothing() -> None:
    return None


def classify_files(
    classifier: Classifier,
    root: Path,
    names: Sequence[bytes],
    *,
    top_k: int,
    limits: ReadLimits,
    batch_size: int = 32,
    crew: Crew | None = None,
    recall: Recall | None = None,
    in_flight: InFlight = untold,
    stop: Callable[[], bool] = never,
    handed_out: Callable[[], None] = nothing,
) -> Iterator[Outcome]:
    """Yield exactly one outcome per name, in order; a file's fault is an outcome, never raised.

    names: paths relative to root, raw bytes, '/'-separated; one that ends in '/' is a directory
    that could not be listed. batch_size: how many files a thread takes at once, at most, though
    never fewer than the network computes at once. crew: the threads, None for some of the call's
    own. recall: what is known already; None to compute everything. in_flight is told what is being
    read and decoded, in the thread that does. stop is asked in the calling thread, at least once a
    batch. handed_out is called when no file waits for a thread any more: time to begin another
    call. Closing the iterator ends its work.
    Raises Stopped, RootUnavailable, ScoresNotFinite.
    """
    if top_k < 1 or batch_size < 1:
        raise ValueError("top_k and batch_size must be at least 1")
    prepare_pillow(limits.max_pixels)
    with ExitStack() as stack:
        folder = stack.enter_context(open_root(root))
        crew = crew or stack.enter_context(Crew(classifier.threads))
        given_up = threading.Event()
        exact = classifier.precision == EXACT
        decoder = Decoder(classifier.preprocessing, exact, limits.max_pixels, crew.pictures)
        hand = Hand(
            root=folder,
            max_file_bytes=limits.max_file_bytes,
            decoder=decoder,
            classifier=classifier,
            top_k=top_k,
            crew=crew,
            recall=recall,
            in_flight=in_flight,
            given_up=given_up,
        )
        runs = _runs(names, classifier.tile, batch_size, crew.runs_underway)
        yield from _classify(hand, runs, stop, handed_out)


def _classify(
    hand: Hand,
    runs: Iterator[tuple[int, Sequence[bytes]]],
    stop: Callable[[], bool],
    handed_out: Callable[[], None],
) -> Iterator[Outcome]:
    """Keep every thread busy, and give the outcomes in order."""
    underway: deque[Future[list[Outcome]]] = deque()
    most, more = hand.crew.runs_underway, True
    try:
        while more or underway:
            while more and len(underway) < most:
                run = next(runs, None)
                if run is not None:
                    underway.append(hand.crew.threads.submit(hand.classify, *run))
                else:
                    more = False
                    handed_out()
            if underway:
                yield from _result(underway[0], stop)
                underway.popleft()
    finally:
        hand.given_up.set()
        wait([future for future in underway if not future.cancel()])


def _runs(
    names: Sequence[bytes], tile: int, batch_size: int, underway: int
) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Cut names into whole tiles: long runs first, so that one lookup serves many files.

    Each comes with the index of its first name.
    """
    longest, shortest = max(batch_size // tile, 1), max(SHORT_RUN // tile, 1)
    start = 0
    while start < len(names):
        share = (len(names) - start) // underway // tile
        size = tile * min(longest, max(shortest, share))
        yield start, names[start : start + size]
        start += size


def _result(future: Future[list[Outcome]], stop: Callable[[], bool]) -> list[Outcome]:
    while not stop():
        if future.done():
            return future.result()
        wait([future], timeout=STOP_CHECK_SECONDS)
    raise Stopped
