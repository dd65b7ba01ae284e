"""What was measured: kept in a file after every step, so that a run that ends early is not lost."""

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


class PartFailed(Exception):
    """A part of the bench cannot be run; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement. cpu_seconds: of all its processes."""

    what: str
    round: int
    images: int
    seconds: float
    cpu_seconds: float

    @property
    def speed(self) -> float:
        """Pictures a second."""
        return self.images / self.seconds


@dataclass(slots=True)
class Record:
    """All samples and facts of a run. skipped: what was left out, and why."""

    path: Path
    facts: dict[str, Any] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def measure(self, what: str, number: int, run: Callable[[], Sample | None]) -> None:
        """Run a part of a round and keep its sample, unless it is there or has failed before."""
        if what in self.skipped or (what, number) in {(s.what, s.round) for s in self.samples}:
            return
        try:
            sample = run()
        except PartFailed as failure:
            self.skip(what, str(failure))
            return
        if sample:
            self.samples.append(sample)
            print(f"  {what}: {sample.speed:.1f} images/s", flush=True)
        self.save()

    def skip(self, what: str, reason: str) -> None:
        """Leave a part out of this run."""
        print(f"  {what}: left out, {reason}", flush=True)
        self.skipped[what] = reason
        self.save()

    def note(self, name: str, find: Callable[[], Any]) -> None:
        """Keep a fact that is found once a run."""
        if name in self.facts or name in self.skipped:
            return
        try:
            self.facts[name] = find()
        except PartFailed as failure:
            self.skip(name, str(failure))
        self.save()

    def save(self) -> None:
        """Write everything."""
        unfinished = self.path.with_suffix(".part")
        unfinished.write_text(json.dumps(asdict(self), default=str, indent=1))
        unfinished.replace(self.path)

    def of(self, what: str) -> dict[int, Sample]:
        """Return the samples of a part by round."""
        return {sample.round: sample for sample in self.samples if sample.what == what}


def read_record(path: Path) -> Record:
    """Return what an earlier run has written, without what it left out."""
    said = json.loads(path.read_text())
    return Record(path, said["facts"], {}, [Sample(**sample) for sample in said["samples"]])


@dataclass(frozen=True, slots=True)
class Ratio:
    """Speeds of one part over those of another in the same rounds."""

    median: float
    lowest: float
    highest: float
    rounds: int

    def __str__(self) -> str:
        spread = f" ({self.lowest:.2f} to {self.highest:.2f})" if self.rounds > 1 else ""
        return f"{self.median:.2f}{spread}"


def ratio(record: Record, over: str, under: str) -> Ratio | None:
    """Compare two parts round by round; None if no round has both."""
    mine, theirs = record.of(over), record.of(under)
    values = [mine[number].speed / theirs[number].speed for number in mine.keys() & theirs.keys()]
    if not values:
        return None
    return Ratio(statistics.median(values), min(values), max(values), len(values))


def speed(record: Record, what: str) -> float | None:
    """Return the median of pictures a second."""
    found = record.of(what).values()
    return statistics.median(sample.speed for sample in found) if found else None


def cpu_ms(record: Record, what: str) -> float | None:
    """Return the median of milliseconds that all cores worked for a picture."""
    found = record.of(what).values()
    return statistics.median(1000 * s.cpu_seconds / s.images for s in found) if found else None
