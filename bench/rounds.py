"""A round: every part that was asked for, in turn, so that all meet the same machine."""

import os
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from bench.agreement import compare_labels, pixel_difference
from bench.children import run_sample
from bench.peer_environment import PEERS, Peer, python_in
from bench.pictures import LARGE, PHOTOS, SMALL, few_of, make_folder, renew
from bench.samples import Record, Sample
from bench.stack import Stack

Step = tuple[str, Callable[[], Sample | None]]

PARTS = ("roofline", "whole", "again", "large", "latency", "agreement")
LITE0, RESNET18 = "lite0", "resnet18"
#: what peers are measured beside
REFERENCE = (RESNET18, "auto")
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

    def _folder(self, count: int) -> Path:
        return make_folder(self.pictures, SMALL, count, composed=self.counts.composed, say=say)

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


def run_round(bench: Bench, number: int) -> None:
    """Measure everything once. Every other round is run in the opposite order within each pair."""
    say(f"round {number}")
    for model, precision in pairs_of(bench):
        in_turn(bench, number, pair_steps(bench, number, model, precision))
        if model == LITE0:
            bench.record.note("workers_peak_bytes", bench.stack.workers_peak_bytes)
    if "whole" in bench.parts:
        in_turn(bench, number, [("imgq whole command", partial(whole, bench, number))])
    if "again" in bench.parts:
        again(bench, number)
    if "large" in bench.parts:
        in_turn(bench, number, large_steps(bench, number))
    if "latency" in bench.parts:
        latency(bench, number)
    in_turn(bench, number, [peer_step(bench, number, peer) for peer in bench.peers])


def pairs_of(bench: Bench) -> list[tuple[str, str]]:
    """Return what is held against the roofline in this run."""
    if "roofline" in bench.parts:
        return list(bench.counts.pairs)
    return [REFERENCE] if bench.peers else []


def pair_steps(bench: Bench, number: int, model: str, precision: str) -> list[Step]:
    """Return the steps that hold one model in one precision against the roofline."""
    mine, limit = f"imgq {model} {precision}", f"roofline {model} {precision}"
    label = partial(bench.label, mine, number, bench.small, model, precision)
    loop = partial(bench.loop, limit, number, bench.small, model, precision)
    return [(mine, label), (limit, loop)]


def in_turn(bench: Bench, number: int, steps: list[Step]) -> None:
    """Measure the steps, in the opposite order every other round: what comes later is not worse."""
    for what, run in steps if number % 2 else reversed(steps):
        bench.record.measure(what, number, run)


def whole(bench: Bench, number: int) -> Sample:
    """Time the command from submit to exit, on many pictures."""
    bench.stack.label(bench.few)
    return bench.stack.label(bench.many).command_sample("imgq whole command", number)


def again(bench: Bench, number: int) -> None:
    """Label new files, then the same files again."""
    if not bench.stack.can_skip_cache:
        bench.record.skip("second run", "this imgq keeps no predictions")
        return
    folder = make_folder(
        bench.pictures / "again",
        SMALL,
        bench.counts.again,
        composed=bench.counts.composed,
        say=say,
    )

    def first() -> Sample:
        renew(folder, f"round {number} of {os.getpid()}")
        bench.stack.label(bench.few)
        return bench.stack.label(folder, cache=True).command_sample("first run", number)

    def second() -> Sample:
        labelled = bench.stack.label(folder, cache=True)
        bench.record.facts["cached_share"] = labelled.job["progress"]["cached"] / labelled.images
        return labelled.command_sample("second run", number)

    bench.record.measure("first run", number, first)
    bench.record.measure("second run", number, second)


def large_steps(bench: Bench, number: int) -> list[Step]:
    """Return the steps over pictures of 12 megapixels, where decoding is most of the work."""

    def loop(what: str, decode: str) -> Step:
        run = partial(bench.loop, what, number, bench.large, LITE0, "auto", decode=decode)
        return what, run

    imgq = partial(bench.label, "imgq 12 MP", number, bench.large, LITE0, "auto")
    pillow = loop("plain Pillow 12 MP", "pillow")
    return [("imgq 12 MP", imgq), loop("roofline 12 MP", "turbo"), pillow]


def latency(bench: Bench, number: int) -> None:
    """Time a handful of photos on a warm worker: to the last commit, and to the command's exit."""

    def handful() -> Sample:
        bench.stack.label(bench.few)
        labelled = bench.stack.label(PHOTOS)
        whole = labelled.command_sample("six photos, submit to exit", number)
        bench.record.measure(whole.what, number, lambda: whole)
        worked = labelled.cpu_seconds
        what = "six photos, submit to labels"
        return Sample(what, number, labelled.images, labelled.wait_seconds, worked)

    bench.record.measure("six photos, submit to labels", number, handful)


def peer_step(bench: Bench, number: int, peer: Peer) -> Step:
    """Return the step that measures a peer."""

    def run() -> Sample:
        folders = [few_of(bench.small, count) for count in (peer.short, peer.long)]
        words = [python_in(bench.env), "-m", f"bench.peers.{peer.module}", *folders]
        words += ["--weights", bench.artifacts[RESNET18] / "weights.safetensors"]
        state = {"NAIVE_URL": bench.broker_url, "YOLO_CONFIG_DIR": str(bench.env / "yolo")}
        return run_sample(peer.name, number, words, state | dict(peer.environment))

    return peer.name, run


def compare(bench: Bench, scratch: Path) -> None:
    """Find, once, whether what is fast is also right."""
    if "agreement" in bench.parts:
        few, artifact = few_of(bench.small, bench.counts.agreement), bench.artifacts[LITE0]
        say("comparing labels with those of plain Pillow and torch")
        bench.record.note("labels", partial(compare_labels, bench.stack, few, artifact, scratch))
        for exact, how in ((True, "exact"), (False, "auto")):
            find = partial(pixel_difference, few_of(few, 200), artifact, exact=exact)
            bench.record.note(f"pixels 500x375 {how}", find)
    if "large" in bench.parts:
        find = partial(pixel_difference, bench.large, bench.artifacts[LITE0], exact=False)
        bench.record.note("pixels 12 MP auto", find)


def peers_named(names: Collection[str]) -> tuple[Peer, ...]:
    """Return the peers of these names."""
    return tuple(peer for peer in PEERS if peer.name in names)


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def say(text: str) -> None:
    """Print how far the bench is."""
    print(text, flush=True)
