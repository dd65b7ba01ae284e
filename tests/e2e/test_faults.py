"""Real processes of a running stack die in the middle of a job, and the ledger stays whole."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

IMAGES = 96


@pytest.fixture
def many(tmp_path: Path, photos: Path) -> Callable[[str], Path]:
    """Make a folder of links to one photograph."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "000.jpg").write_bytes((photos / "coffee.jpg").read_bytes())
        for number in range(1, IMAGES):
            (folder / f"{number:03d}.jpg").hardlink_to(folder / "000.jpg")
        return folder

    return make


def process(stack: Any, name: str) -> psutil.Process:
    state = json.loads((stack.home / "state.json").read_text())
    return psutil.Process(next(p["pid"] for p in state["processes"] if p["name"] == name))


def begun(stack: Any, folder: Path) -> str:
    """Submit a folder and return the job once its first chunks are done."""
    job = str(stack.imgq("submit-folder", folder, "--json").json()["id"])
    for line in follow(stack, job):
        if line["progress"]["done"]:
            return job
    raise AssertionError("the job ended before it was seen at work")


def follow(stack: Any, job: str) -> Iterator[Any]:
    while True:
        shown = stack.imgq("status", job, "--json").json()
        yield shown
        assert shown["state"] in ("queued", "running"), shown


def assert_whole(stack: Any, job: str) -> None:
    watched = stack.imgq("watch", job, "--json")
    last = json.loads(watched.out.splitlines()[-1])
    assert (watched.code, last["progress"]["ok"]) == (0, IMAGES), watched.err
    assert stack.imgq("verify-job", job).code == 0


def test_losing_all_of_redis_only_delays(stack: Any, many: Callable[[str], Path]) -> None:
    job = begun(stack, many("flushed"))
    url = process(stack, "worker-1").environ()["IMGQ_REDIS_URL"]
    with redis.Redis.from_url(url) as server:
        server.flushall()
    assert_whole(stack, job)


@pytest.mark.parametrize("name", ["worker-1", "reconciler", "api", "valkey", "postgres"])
def test_a_killed_process_loses_and_doubles_nothing(
    stack: Any, many: Callable[[str], Path], name: str
) -> None:
    job = begun(stack, many("killed"))
    victim = process(stack, name)
    for each in (victim, *victim.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # some end with their parent
            each.kill()
    assert_whole(stack, job)


def test_two_jobs_at_once_share_the_worker(stack: Any, many: Callable[[str], Path]) -> None:
    jobs = [
        str(stack.imgq("submit-folder", many(name), "--json").json()["id"])
        for name in ("first", "second")
    ]
    for job in jobs:
        assert_whole(stack, job)
