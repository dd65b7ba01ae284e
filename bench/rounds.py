"""A round: every part that was asked for, in turn, so that all meet the same machine."""

import os
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from bench.agreement import compare_labels, pixel_difference
from bench.children import run_sample
from bench.measuring import LITE0, RESNET18, Bench, say
from bench.peer_environment import PEERS, Peer, python_in
from bench.pictures import PHOTOS, few_of, renew
from bench.samples import Sample

Step = tuple[str, Callable[[], Sample | None]]

PARTS = ("roofline", "whole", "again", "large", "latency", "agreement")
#: so old must a file's last change be; imgq's own bound, and a second
SETTLED_SECONDS = 61
#: what peers are measured beside
REFERENCE = (RESNET18, "auto")


def run_round(bench: Bench, number: int) -> None:
    """Measure everything once. Every other round is run in the opposite order within each pair."""
    say(f"round {number}")
    renewed = time.monotonic()
    if "again" in bench.parts and bench.stack.can_skip_cache:
        renew(bench.again, f"round {number} of {os.getpid()}")
        renewed = time.monotonic()
    for model, precision in pairs_of(bench):
        in_turn(bench, number, pair_steps(bench, number, model, precision))
        if model == LITE0:
            bench.record.note("workers_peak_bytes", bench.stack.workers_peak_bytes)
    if "whole" in bench.parts:
        in_turn(bench, number, [("imgq whole command", partial(whole, bench, number))])
    if "again" in bench.parts:
        again(bench, number, renewed)
    if "large" in bench.parts:
        in_turn(bench, number, large_steps(bench, number))
    if "latency" in bench.parts:
        latency(bench, number)
    in_turn(bench, number, [peer_step(bench, number, peer) for peer in bench.peers])


def pairs_of(bench: Bench) -> list[tuple[str, str]]:
    """Return what is held against the roofline in this run."""
    if "roofline" in bench.parts:
        return list(bench.counts.pairs)
    alone = [(LITE0, "auto")] if "whole" in bench.parts else []
    return alone + ([REFERENCE] if bench.peers else [])


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


def again(bench: Bench, number: int, renewed: float) -> None:
    """Label new files, then the same files again. renewed: when they were, by the monotonic clock.

    imgq trusts no file's stamp that is younger than a minute: it would read these again.
    """
    if not bench.stack.can_skip_cache:
        bench.record.skip("second run", "this imgq keeps no predictions")
        return

    def both() -> Sample:
        time.sleep(max(0.0, renewed + SETTLED_SECONDS - time.monotonic()))
        bench.stack.label(bench.few)
        first = bench.stack.label(bench.again, cache=True)
        second = bench.stack.label(bench.again, cache=True)
        before = first.command_sample("first run", number)
        bench.record.measure(before.what, number, lambda: before)
        bench.record.facts["cached_share"] = second.job["progress"]["cached"] / second.images
        return second.command_sample("second run", number)

    bench.record.measure("second run", number, both)


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
        return labelled.answer_sample(what, number)

    what = "six photos, submit to labels"
    bench.record.measure(what, number, handful)


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
