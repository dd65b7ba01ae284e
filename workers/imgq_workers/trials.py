"""Suspects first: each alone, so that a picture that ends a process is found, and its neighbours
are cleared."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from imgq_db.chunks import ChunkLease
from imgq_db.crashes import Suspect
from imgq_trainer.outcomes import Code, Rejection, failed

if TYPE_CHECKING:
    from imgq_workers.context import WorkerContext

#: With so many suspects for each thread, which takes as many crashes, it is not their company that
#: the pictures of a chunk die of: all are tried alone.
MANY_FOR_EACH_THREAD = 4

Found = TypeVar("Found")
#: Takes places in a chunk and whether they are the last ones, and returns what becomes of each.
Look = Callable[[Sequence[int], bool], Sequence[Found]]


def try_suspects(
    context: "WorkerContext", lease: ChunkLease, look: Look[Found]
) -> list[Found | Rejection]:
    """Return what becomes of each of a chunk's pictures, in order.

    Until look is told that it gets the last ones, nothing else may be underway in this process. A
    condemned picture is not looked at.
    """
    suspects = {suspect.image - lease.first_image: suspect for suspect in lease.suspects}
    found: dict[int, Found | Rejection] = {
        place: condemn(suspect) for place, suspect in suspects.items() if suspect.condemned
    }
    many = len(suspects) >= MANY_FOR_EACH_THREAD * context.crew.count
    for place in range(len(lease.names)) if many else sorted(suspects):
        if place not in found:
            with context.breadcrumbs.alone():
                (found[place],) = look([place], False)
    rest = [place for place in range(len(lease.names)) if place not in found]
    *earlier, last = _without_gaps(rest)
    for run in earlier:
        found |= zip(run, look(run, False), strict=True)
    found |= zip(last, look(last, True), strict=True)
    return [found[place] for place in range(len(lease.names))]


def _without_gaps(places: Sequence[int]) -> Sequence[Sequence[int]]:
    """Split places where one is missing: what is told of a run of pictures is told of all in it.

    One run at least.
    """
    starts = [at for at in range(1, len(places)) if places[at] != places[at - 1] + 1]
    return [places[a:b] for a, b in pairwise((0, *starts, len(places)))]


def condemn(suspect: Suspect) -> Rejection:
    """Return the outcome of a picture that ended a process alone."""
    return failed(Code(suspect.code), suspect.reason)
