"""`make bench`: the main job beside a plain loop, in turn, over the same pictures.

imgq is timed as its users run it, in its own choice of precision and in exact fp32: from the start
of a job to its end, with Celery, Valkey, Postgres and the ledger. The plain loop is what one would
write instead: Pillow and torch in one process, same network, same weights, fp32, batches of 32,
everything loaded before the clock starts. Both get every core. Figures are ratios of interleaved
rounds.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from PIL import Image

PHOTOS = Path(__file__).parent.parent / "demo" / "photos"
IMGQ = str(Path(sys.executable).with_name("imgq"))
SIZE = (500, 375)
PRECISIONS = ("auto", "exact")


def main() -> None:
    """Make pictures, run rounds, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imgq-bench-", ignore_cleanup_errors=True) as scratch:
        Path(scratch).chmod(0o711)
        folder = make_pictures(Path(scratch) / "pictures", asked.images)
        os.environ["IMGQ_HOME"] = str(Path(scratch) / "home")
        subprocess.run([IMGQ, "up", "--detach"], check=True, stdout=subprocess.DEVNULL)
        try:
            few = make_pictures(Path(scratch) / "few", 8)
            rounds = [one_round(folder, few) for _ in range(asked.rounds)]
        finally:
            subprocess.run([IMGQ, "down"], check=True)
    report(rounds, asked.images)


def make_pictures(folder: Path, count: int) -> Path:
    """Write JPEG files, each another cut of a real photograph."""
    folder.mkdir()
    photos = [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))]
    for number in range(count):
        photo = photos[number % len(photos)]
        left, top = number % 37, number % 29
        cut = photo.crop((left, top, photo.width - 37 + left, photo.height - 29 + top))
        cut.resize(SIZE, Image.Resampling.BICUBIC).save(folder / f"{number:06d}.jpg", quality=90)
    return folder


def one_round(folder: Path, few: Path) -> tuple[float, ...]:
    """Return images per second of imgq in each precision, and of the plain loop.

    few: labelled first each time, so that the worker has loaded the model as the loop has.
    """
    speeds = []
    for precision in PRECISIONS:
        imgq_speed(few, precision)
        speeds.append(imgq_speed(folder, precision))
    return (*speeds, loop_speed(folder))


def imgq_speed(folder: Path, precision: str) -> float:
    """Return images per second of one job, from its start to its end."""
    done = subprocess.run(
        [IMGQ, "submit-folder", str(folder), "--wait", "--json", "--precision", precision],
        check=True,
        capture_output=True,
        text=True,
    )
    job = json.loads(done.stdout.splitlines()[-1])
    started, finished = (datetime.fromisoformat(job[k]) for k in ("started_at", "finished_at"))
    return float(job["progress"]["total"] / (finished - started).total_seconds())


def loop_speed(folder: Path) -> float:
    """Return images per second of the plain loop, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("plain_loop.py")), str(folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def report(rounds: list[tuple[float, ...]], images: int) -> None:
    """Print what was measured, with all that it depends on."""
    import torch

    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ")
    print(
        f"torch {torch.__version__}; {images} pictures of {SIZE[0]}x{SIZE[1]}, EfficientNet-Lite0"
    )
    print(f"{time.strftime('%Y-%m-%d')}, {len(rounds)} interleaved rounds\n")
    names = [f"imgq {precision}" for precision in PRECISIONS]
    print("images/s   " + "".join(f"{name:>14}" for name in (*names, "plain loop")))
    for number, speeds in enumerate(rounds, 1):
        print(f"round {number:<5}" + "".join(f"{speed:14.1f}" for speed in speeds))
    for place, name in enumerate(names):
        ratio = statistics.median(speeds[place] / speeds[-1] for speeds in rounds)
        print(f"median of {name} / plain loop: {ratio:.2f}")


if __name__ == "__main__":
    main()
