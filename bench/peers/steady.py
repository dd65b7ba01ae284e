"""How fast a peer labels once it is warm, as one line of JSON.

Every peer is `python -m bench.peers.NAME SHORT LONG --weights FILE`: two folders of pictures and
the weights of a resnet18.
"""

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Asked:
    """The folders hold one folder of pictures each, as a class."""

    short: Path
    long: Path
    weights: Path


@dataclass(frozen=True, slots=True)
class Moment:
    """seconds: on the clock. cpu_seconds: of this process and all below it."""

    seconds: float
    cpu_seconds: float


def read_arguments() -> Asked:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("short", type=Path)
    parser.add_argument("long", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    asked = parser.parse_args()
    return Asked(asked.short, asked.long, asked.weights)


def pictures_in(folder: Path) -> list[str]:
    """Return all pictures below a folder, in order."""
    return sorted(str(path) for path in folder.rglob("*.jpg"))


def report_difference(label: Callable[[Path], int], asked: Asked) -> None:
    """Measure by how much a long folder takes longer than a short one, after a warm-up.

    What a pass needs to begin, such as its own processes, is no part of the difference.
    label: returns how many pictures it has labelled.
    """
    label(asked.short)
    moments, counts = [now()], []
    for folder in (asked.short, asked.long):
        counts.append(label(folder))
        moments.append(now())
    expected = [len(pictures_in(folder)) for folder in (asked.short, asked.long)]
    assert counts == expected, f"{counts} pictures were labelled, of {expected}"
    short, long = (
        Moment(end.seconds - start.seconds, end.cpu_seconds - start.cpu_seconds)
        for start, end in itertools.pairwise(moments)
    )
    _report(counts[1] - counts[0], short, long)


def now() -> Moment:
    """Return this moment."""
    cpu = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        cpu += times.user + times.system + times.children_user + times.children_system
    return Moment(time.perf_counter(), cpu)


def _report(images: int, start: Moment, end: Moment) -> None:
    said = {
        "images": images,
        "seconds": end.seconds - start.seconds,
        "cpu_seconds": max(0.0, end.cpu_seconds - start.cpu_seconds),
    }
    print(json.dumps(said), flush=True)
    if said["seconds"] <= 0:
        os._exit(1)  # the machine was too busy for a difference to mean anything
