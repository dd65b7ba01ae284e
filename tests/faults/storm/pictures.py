"""Folders of tiny real files for a storm: good pictures, and a few that are bad in known ways."""

import io
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

SIDE = 24
FORMATS = ("jpeg", "png", "bmp")
#: Different pictures; files repeat them with other bytes at their end, so that all digests differ.
SCENES = 60
#: In the name of a file that crashes its decoder, of one that never leaves it, and of one that
#: takes all memory there: see the workers' failpoints.
POISON, ENDLESS, GLUTTON = "poison", "endless", "glutton"
#: Matches the address of a folder with one of these.
POISONED = f"-({POISON}|{ENDLESS}|{GLUTTON})-[0-9]+$"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of pictures. clean: the folder with the same files but the poison ones."""

    path: Path
    files: int
    clean: "Folder | None" = None


def make_folders(place: Path, seed: int, sizes: Sequence[int]) -> tuple[Folder, ...]:
    """Fill a folder of each size; the same seed gives the same bytes."""
    dice = random.Random(seed)
    scenes = [_scene(dice, FORMATS[number % len(FORMATS)]) for number in range(SCENES)]
    return tuple(
        _fill(place / f"folder-{number:02}", size, dice, scenes)
        for number, size in enumerate(sizes)
    )


def poisoned(folder: Folder, word: str, number: int) -> Folder:
    """Return a folder like another one, with one picture more. word: POISON, ENDLESS or GLUTTON."""
    place = folder.path.with_name(f"{folder.path.name}-{word}-{number}")
    for file in sorted(folder.path.rglob("*")):
        if file.is_file():
            target = place / file.relative_to(folder.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    good = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), "white").save(good, "png")
    (place / f"0050-{word}.png").write_bytes(good.getvalue())
    return Folder(place, folder.files + 1, folder)


def _scene(dice: random.Random, kind: str) -> tuple[str, bytes]:
    picture = Image.new("RGB", (SIDE, SIDE), _colour(dice))
    picture.paste(_colour(dice), (0, 0, SIDE, dice.randrange(1, SIDE // 3)))
    written = io.BytesIO()
    picture.save(written, kind)
    return kind, written.getvalue()


def _colour(dice: random.Random) -> tuple[int, int, int]:
    return dice.randrange(256), dice.randrange(256), dice.randrange(256)


def _fill(
    path: Path, size: int, dice: random.Random, scenes: Sequence[tuple[str, bytes]]
) -> Folder:
    (path / "nested" / "déjà vu").mkdir(parents=True)
    bad = _write_bad(path, scenes[1][1])
    for number in range(size - bad):
        kind, data = dice.choice(scenes)
        below = ("", "nested", "nested/déjà vu")[number % 10 // 8 + number % 10 // 9]
        (path / below / f"{number:04}.{kind}").write_bytes(data + dice.randbytes(8))
    return Folder(path, size)


def _write_bad(path: Path, png: bytes) -> int:
    """Write files that fail or are skipped; return how many."""
    files = {
        b"0001-empty.jpg": b"",
        b"0100-half.png": png[: len(png) // 2],
        b"nested/0002-words.jpg": b"these are words",
        b"notes.txt": b"these too",
        b"line\nbreak,\xff.png": png,
    }
    for name, data in files.items():
        Path(os.fsdecode(os.fsencode(path) + b"/" + name)).write_bytes(data)
    return len(files)
