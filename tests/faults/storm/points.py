"""Failpoints of a storm: each is spent at first, armed by a fault, and spent again by who dies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.storm.pictures import ENDLESS, GLUTTON, POISON

from imgq_db.failpoints import POINTS, TESTING, VARIABLE

#: By the role of a process: where it may die, or stop.
PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "worker": (
        "claim.committed",
        "finish.before_fence",
        "finish.after_fence",
        "finish.before_commit",
        "finish.after_commit",
        "close.before_commit",
        "listing.before_insert",
        "listing.between_inserts",
        "listing.before_done",
    ),
    "reconciler": ("expire.mid_batch", "close.before_commit"),
    "api": ("submit.after_insert", "submit.before_bell", "submit.after_bell"),
    "trainer": ("checkpoint.before_row", "register.before_commit"),
}
#: Where a worker takes all memory. Not where it decodes: a picture that is alone there for the
#: second time is condemned, and rightly so by all that can be known.
MEMORY_PLACE: Final = "finish.before_fence"
#: A worker that stops in the middle of a commit holds locks: who else waits for them is tested.
STOPPING_ROLES: Final = ("worker", "reconciler")


@dataclass(frozen=True, slots=True)
class Point:
    """A place in one process. marker: a file that is there unless the point is armed."""

    member: str
    place: str
    action: str
    marker: Path

    def arm(self) -> None:
        self.marker.unlink()

    def disarm(self) -> bool:
        """Spend it. False: somebody has just reached it."""
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    @property
    def is_spent(self) -> bool:
        return self.marker.exists()


def make_points(folder: Path, roles: Mapping[str, str]) -> tuple[Point, ...]:
    """Make every point of every process, spent. roles: by the process' name."""
    points = []
    for member, role in roles.items():
        actions = ("kill", "stop") if role in STOPPING_ROLES else ("kill",)
        acts = [(place, action) for place in PLACES[role] for action in actions]
        if role == "worker":
            acts.append((MEMORY_PLACE, "exhaust"))
        for place, action in acts:
            marker = folder / f"{member}-{place}-{action}"
            marker.touch()
            points.append(Point(member, place, action, marker))
    return tuple(points)


def failpoint_environment(points: Iterable[Point], member: str) -> dict[str, str]:
    """Return what tells a process of its points."""
    faults = [
        f"{point.place}={point.action}@once={point.marker}"
        for point in points
        if point.member == member
    ]
    if member.startswith("worker"):
        faults += [f"decode=segv@match=*{POISON}*", f"decode=hang@match=*{ENDLESS}*"]
        faults += [f"decode=exhaust@match=*{GLUTTON}*"]
    assert {fault.partition("=")[0] for fault in faults} <= POINTS
    return {TESTING: "1", VARIABLE: ";".join(faults)}
