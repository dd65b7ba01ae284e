"""Failpoints: named places where a test lets a process die, stop, hang or raise.

Elsewhere they cost one comparison: they are armed by IMGQ_FAILPOINTS, which is refused unless
IMGQ_TESTING=1, or within one process by `armed`. The text is `FAULT;FAULT;…`, and a fault is
`NAME=ACTION[:ARGUMENT][@p=0.02][@nth=3][@match=GLOB][@once=/path]`; `seed=7` among them fixes the
dice of p, differently in each process: one that replaces a dead one must not die at the same place.
"""

import ctypes
import itertools
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NoReturn, TypeVar

N = TypeVar("N", int, float)

VARIABLE: Final = "IMGQ_FAILPOINTS"
TESTING: Final = "IMGQ_TESTING"

#: Every place that calls `failpoint`. A name that is none of these is refused: it would never act.
POINTS: Final = frozenset(
    (
        "claim.committed",
        "finish.before_fence",
        "finish.after_fence",
        "finish.before_commit",
        "finish.after_commit",
        "close.before_commit",
        "listing.before_insert",
        "listing.between_inserts",
        "listing.before_done",
        "submit.after_insert",
        "submit.before_bell",
        "submit.after_bell",
        "expire.mid_batch",
        "cancel.between_batches",
        "read",
        "decode",
        "checkpoint.before_row",
        "register.before_commit",
    )
)


class FailpointsInvalid(ValueError):
    """What IMGQ_FAILPOINTS holds cannot be used; the sentence says why."""


class FailpointRaised(Exception):
    """What the action `raise` raises."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """What happens at one point, and when.

    chance: 0..1. nth: at this hit only, counted from 1 among those whose subject matches.
    match: a glob of the subject. once: a file that is made by the first process to act; others
    that find it do not act. hits, dice: this process's own.
    """

    action: str
    argument: str
    chance: float = 1.0
    nth: int | None = None
    match: str | None = None
    once: str | None = None
    hits: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    dice: random.Random = field(default_factory=random.Random)

    def applies(self, subject: str) -> bool:
        if self.match is not None and not fnmatchcase(subject, self.match):
            return False
        if self.nth is not None and next(self.hits) != self.nth:
            return False
        return self.dice.random() < self.chance and (self.once is None or _first(self.once))


_Faults = Mapping[str, tuple[_Fault, ...]]
_UNREAD: Final[_Faults] = {}
_faults: _Faults | None = _UNREAD


def failpoint(name: str, subject: bytes | str = b"") -> None:
    """Do what a test planned for this place, most often nothing.

    subject: what the place works on, such as a picture's name. Raises FailpointRaised.
    """
    if _faults is not None:
        _reach(name, subject)


def arm_from_environment() -> None:
    """Plan what IMGQ_FAILPOINTS says, once in a process. Raises FailpointsInvalid."""
    global _faults
    if _faults is not _UNREAD:
        return
    planned = os.environ.get(VARIABLE)
    if planned and os.environ.get(TESTING) != "1":
        raise FailpointsInvalid(
            f"{VARIABLE} lets processes of imgq die on purpose. Unset it, or set {TESTING}=1."
        )
    _faults = parse_failpoints(planned) if planned else None


@contextmanager
def armed(planned: str) -> Iterator[None]:
    """Plan faults for this process alone, for the time of a test. Raises FailpointsInvalid."""
    global _faults
    before, _faults = _faults, parse_failpoints(planned)
    try:
        yield
    finally:
        _faults = before


def parse_failpoints(planned: str) -> _Faults:
    """Return the faults by point. Raises FailpointsInvalid, which names what is wrong."""
    items = [item.strip() for item in planned.split(";") if item.strip()]
    seeds = [item.removeprefix("seed=") for item in items if item.startswith("seed=")]
    if len(seeds) > 1:
        raise FailpointsInvalid(f"{VARIABLE} has {len(seeds)} seeds: give one.")
    seed = _number("seed", seeds[0], int) if seeds else None
    faults: dict[str, tuple[_Fault, ...]] = {}
    for item in items:
        name, equals, rest = item.partition("=")
        if name == "seed":
            continue
        if not equals or name not in POINTS:
            raise FailpointsInvalid(f"{item!r}: {name!r} is no failpoint. {_known(POINTS)}")
        dice = random.Random(None if seed is None else f"{seed}/{os.getpid()}/{item}")  # noqa: S311
        faults[name] = (*faults.get(name, ()), _parse_fault(item, rest, dice))
    return faults


def _parse_fault(item: str, text: str, dice: random.Random) -> _Fault:
    acting, *conditions = text.split("@")
    action, colon, argument = acting.partition(":")
    if action not in _ACTIONS:
        raise FailpointsInvalid(f"{item!r}: {action!r} is no action. {_known(_ACTIONS)}")
    if bool(colon) != (action == "block") or (colon and not argument):
        wanted = "needs a FIFO, as in block:/path" if action == "block" else "takes no argument"
        raise FailpointsInvalid(f"{item!r}: {action} {wanted}.")
    given = dict(condition.partition("=")[::2] for condition in conditions)
    if len(given) != len(conditions) or not given.keys() <= _CONDITIONS or not all(given.values()):
        raise FailpointsInvalid(f"{item!r}: write conditions as @NAME=VALUE, each once. {_WHEN}")
    chance = _number("p", given.get("p", "1"), float)
    nth = _number("nth", given["nth"], int) if "nth" in given else None
    if not 0 <= chance <= 1 or (nth is not None and nth < 1):
        raise FailpointsInvalid(f"{item!r}: p is from 0 to 1, nth from 1 on.")
    return _Fault(action, argument, chance, nth, given.get("match"), given.get("once"), dice=dice)


def _number(name: str, value: str, kind: Callable[[str], N]) -> N:
    try:
        return kind(value)
    except ValueError:
        raise FailpointsInvalid(f"{name}={value} is no number.") from None


def _known(names: Mapping[str, object] | frozenset[str]) -> str:
    return f"There are: {', '.join(sorted(names))}."


def _reach(name: str, subject: bytes | str) -> None:
    arm_from_environment()
    faults = (_faults or {}).get(name)
    if not faults:
        return
    shown = os.fsdecode(subject)
    for fault in faults:
        if fault.applies(shown):
            os.write(2, f"failpoint {name} {shown!r}: {fault.action}\n".encode())
            _ACTIONS[fault.action](fault.argument)
            return


def _first(marker: str) -> bool:
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


def _kill(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _segv(_: str) -> None:
    ctypes.string_at(0)


def _overflow(_: str) -> None:
    # In C, and deeper than any stack: as a decoder that follows a nesting without end.
    sys.setrecursionlimit(1 << 30)
    nested: list[object] = []
    for _level in range(1 << 18):
        nested = [nested]
    repr(nested)


def _abort(_: str) -> None:
    os.abort()


def _stop(_: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _hang(_: str) -> NoReturn:
    # In C, without the interpreter's lock: as a decoder that never returns, which no thread of
    # Python can end.
    libc = ctypes.CDLL(None)
    while True:
        libc.pause()


def _exhaust(_: str) -> NoReturn:
    # Until the kernel ends a process for it, or refuses: for a process that has a limit.
    taken = []
    while True:
        taken.append(b"x" * (16 << 20))


def _raise(_: str) -> NoReturn:
    raise FailpointRaised("a failpoint raised")


def _block(fifo: str) -> None:
    """Wait for a reader of the FIFO, tell it the process, then wait for a writer to come and go."""
    with Path(fifo).open("wb") as reached:
        reached.write(f"{os.getpid()}\n".encode())
    with Path(fifo).open("rb") as resumed:
        resumed.read()


_ACTIONS: Final[Mapping[str, Callable[[str], None]]] = {
    "kill": _kill,
    "segv": _segv,
    "overflow": _overflow,
    "abort": _abort,
    "stop": _stop,
    "hang": _hang,
    "exhaust": _exhaust,
    "raise": _raise,
    "block": _block,
}
_CONDITIONS: Final = frozenset({"p", "nth", "match", "once"})
_WHEN: Final = _known(_CONDITIONS)
