"""imgq end to end, beside the machine's limit and beside what one would run instead.

Every round measures every part once, in turn; figures are medians of the rounds' ratios. All
samples are kept in a file as they come: --resume goes on with it.
"""

import argparse
import contextlib
import dataclasses
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import models, peer_environment
from bench.machine import describe_machine, describe_versions
from bench.measuring import QUICK, Bench, counts_for, say
from bench.peer_environment import PEERS
from bench.report import render, write_between_marks
from bench.rounds import PARTS, compare, peers_named, run_round
from bench.samples import Record, read_record
from bench.stack import Stack, fresh_stack, running_stack
from imgq_cli.stack.services import services

EVERYTHING = (*PARTS, *(peer.name for peer in PEERS))
QUICK_PARTS = ("roofline", "latency", "agreement")
FOLDER = Path.home() / ".cache" / "imgq-bench"


def main() -> None:
    """Measure what was asked for; print and write the tables."""
    asked = read_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the stack is stopped too
    asked.folder.mkdir(parents=True, exist_ok=True)
    results = asked.folder / "results.json"
    record = read_record(results) if asked.resume and results.exists() else Record(results)
    peers = peers_named(asked.only)
    versions = peer_environment.prepare(asked.env, peers, say) if peers else {}
    for peer in peers:
        if peer.package not in versions:
            record.skip(peer.name, f"{peer.package} could not be installed")
    record.note("pictures", lambda: asked.pictures)
    asked.pictures = record.facts["pictures"]  # a run goes on as it began
    record.note("machine", describe_machine)
    record.facts["versions"] = describe_versions(versions)
    try:
        with contextlib.ExitStack() as opened:
            scratch = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            bench = opened.enter_context(open_bench(asked, record, scratch))
            for number in range(1, asked.rounds + 1):
                run_round(bench, number)
            compare(bench, scratch)
    finally:
        text = render(record)
        print("\n" + text)
        (asked.folder / "results.md").write_text(text)
        say(f"Also in {asked.folder / 'results.md'} and {results}")
    if asked.write:
        write_between_marks(asked.write, text)


def read_arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=EVERYTHING,
        help=f"some of {','.join(EVERYTHING)}",
    )
    parser.add_argument("--pictures", type=int, default=4_000, help="for most parts")
    parser.add_argument("--quick", action="store_true", help="few pictures: does it still run?")
    parser.add_argument("--resume", action="store_true", help="go on where the last run ended")
    parser.add_argument("--running-stack", action="store_true", help="use the one in IMGQ_HOME")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for pictures and results")
    parser.add_argument("--env", type=Path, help="the peers' environment; default: in --folder")
    parser.add_argument("--write", type=Path, help="a page to put the tables into")
    asked = parser.parse_args()
    asked.env = (asked.env or asked.folder / "peers").absolute()
    asked.folder = asked.folder.absolute()
    if unknown := set(asked.only) - set(EVERYTHING):
        parser.error(f"--only knows {', '.join(EVERYTHING)}; not {', '.join(sorted(unknown))}")
    if asked.quick:
        asked.only, asked.rounds = QUICK_PARTS, 1
    return asked


@contextlib.contextmanager
def open_bench(asked: argparse.Namespace, record: Record, scratch: Path) -> Iterator[Bench]:
    """Start what the parts need."""
    counts = QUICK if asked.quick else counts_for(asked.pictures)
    peers = peers_named(asked.only)
    artifacts = {"lite0": models.lite0(asked.folder)}
    names = {"lite0": "imagenet"}
    with contextlib.ExitStack() as opened:
        say("starting imgq")
        stack = opened.enter_context(open_stack(asked.running_stack))
        broker_url = ""
        if any(peer.package == "celery" for peer in peers):
            broker = services(scratch / "broker", database_url="postgresql:///none", durable=False)
            scratch.chmod(0o711)
            broker_url = opened.enter_context(broker).redis_url
        if not asked.quick:
            artifacts["resnet18"] = models.resnet18(asked.folder)
            stack.run("models", "import", artifacts["resnet18"], "--name", "resnet18")
            names["resnet18"] = "resnet18"
        bench = Bench(
            stack=stack,
            record=record,
            counts=counts,
            parts=asked.only,
            peers=peers,
            pictures=asked.folder / "pictures",
            artifacts=artifacts,
            models=names,
            env=asked.env,
            broker_url=broker_url,
            auto="exact",
        )
        settled = stack.label(bench.few).job["precision"]
        if not asked.quick:
            record.note("idle_cpu_share", stack.idle_cpu_share)
        yield dataclasses.replace(bench, auto=settled)


def open_stack(running: bool) -> contextlib.AbstractContextManager[Stack]:
    """Return the stack that runs, or one that is started for the bench alone."""
    if running:
        return contextlib.nullcontext(running_stack(Path(os.environ["IMGQ_HOME"])))
    return fresh_stack()


if __name__ == "__main__":
    main()
