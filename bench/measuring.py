"""What a round needs: the stack, the folders, the models, and the two ways to label a folder."""

import os
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.children import run_sample
from bench.peer_environment import Peer
from bench.pictures import LARGE, SMALL, few_of, make_folder
from bench.samples import Record, Sample
from bench.stack import Stack

LITE0, RESNET18 = "lite0", "resnet18"
WARM_PICTURES = 8


@dataclass(frozen=True, slots=True)
class Counts:
    """How many pictures each part has. composed, large_composed: how many differ in what they show.

    pairs: the models and precisions that are held against the roofline.
    """

    small: int
    composed: int
    many: int
    again: int
    large: int
    large_composed: int
    agreement: int
    pairs: tuple[tuple[str, str], ...]


#: To see that the bench still works; its figures mean nothing.
QUICK = Counts(24, 24, 24, 24, 2, 2, 24, ((LITE0, "auto"),))


def counts_for(pictures: int) -> Counts:
    """Return how many pictures each part has where most have so many."""
    return Counts(
        small=pictures,
        composed=pictures,
        many=5 * pictures,
        again=5 * pictures // 2,
        large=128,
        large_composed=32,
        agreement=min(1_000, pictures),
        pairs=tuple((model, how) for model in (LITE0, RESNET18) for how in ("auto", "exact")),
    )


@dataclass(frozen=True)
class Bench:
    """Everything that a round needs. auto: the precision that imgq chooses by itself here."""

    stack: Stack
    record: Record
    counts: Counts
    parts: Collection[str]
    peers: tuple[Peer, ...]
    pictures: Path
    artifacts: dict[str, Path]
    models: dict[str, str]
    env: Path
    broker_url: str
    auto: str

    @cached_property
    def small(self) -> Path:
        return self._folder(self.counts.small)

    @cached_property
    def few(self) -> Path:
        return few_of(self.small, WARM_PICTURES)

    @cached_property
    def many(self) -> Path:
        return self._folder(self.counts.many)

    @cached_property
    def large(self) -> Path:
        count, composed = self.counts.large, self.counts.large_composed
        return make_folder(self.pictures, LARGE, count, composed=composed, say=say)

    @cached_property
    def again(self) -> Path:
        """Apart from the others: its files are renewed in every round."""
        return self._folder(self.counts.again, below="again")

    def _folder(self, count: int, *, below: str = "") -> Path:
        composed = self.counts.composed
        return make_folder(self.pictures / below, SMALL, count, composed=composed, say=say)

    def label(self, what: str, number: int, folder: Path, model: str, precision: str) -> Sample:
        """Label a folder by imgq, on a worker that has loaded the model."""
        name = self.models[model]
        self.stack.label(self.few, model=name, precision=precision)
        labelled = self.stack.label(folder, model=name, precision=precision)
        return labelled.sample(what, number)

    def loop(
        self,
        what: str,
        number: int,
        folder: Path,
        model: str,
        precision: str,
        *,
        decode: str = "turbo",
    ) -> Sample:
        """Label a folder by the loop that was tuned by hand."""
        words: list[object] = [sys.executable, "-m", "bench.roofline", folder]
        words += ["--artifact", self.artifacts[model], "--decode", decode]
        words += ["--precision", self.auto if precision == "auto" else precision]
        words += ["--threads", usable_cores()]
        return run_sample(what, number, words, {"OMP_NUM_THREADS": "1"})


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def say(text: str) -> None:
    """Print how far the bench is."""
    print(text, flush=True)
