"""Whether what is fast is also right: labels and pixels beside those of plain Pillow and torch."""

import json
from pathlib import Path

import numpy as np

from bench.network import read_recipe
from bench.pictures import pictures_in
from bench.plain import plain_labels
from bench.roofline import Pixels, by_pillow
from bench.stack import Stack
from imgq_trainer.artifacts import load_artifact
from imgq_trainer.classifier import Classifier
from imgq_trainer.engines import BF16, Logits, Tile
from imgq_trainer.pipeline import ReadLimits, classify_files

PRECISIONS = ("exact", "auto")
ABOVE = (0.0, 0.3, 0.5)
LIMITS = ReadLimits(max_pixels=10**8, max_file_bytes=10**8)


def compare_labels(
    stack: Stack, folder: Path, artifact: Path, scratch: Path
) -> dict[str, list[dict[str, float]]]:
    """Return by precision how many labels of imgq are those of Pillow and torch in fp32.

    above: only pictures that plain torch is surer of. Raises PartFailed.
    """
    plain = plain_labels(folder, artifact)
    found = {}
    for precision in PRECISIONS:
        output = scratch / f"labels-{precision}.jsonl"
        stack.label(folder, precision=precision, output=output)
        rows = [json.loads(line) for line in output.read_text().splitlines()]
        labels = {row["path"]: row["label"] for row in rows}
        assert labels.keys() == plain.keys()
        found[precision] = [count_equal(labels, plain, above) for above in ABOVE]
    return found


def count_equal(
    labels: dict[str, str], plain: dict[str, tuple[str, float]], above: float
) -> dict[str, float]:
    """Count the pictures that plain torch is surer of, and those with its label."""
    sure = {path: label for path, (label, score) in plain.items() if score > above}
    equal = sum(labels[path] == label for path, label in sure.items())
    return {"above": above, "pictures": len(sure), "equal": equal}


def pixel_difference(folder: Path, artifact: Path, *, exact: bool) -> float:
    """Return how far the pixels that imgq computes are from Pillow's, in levels, in the mean."""
    plain = by_pillow(read_recipe(artifact))
    paths = pictures_in(folder)
    seen = [
        np.abs(mine.astype(np.int16) - plain(path)).mean()
        for mine, path in zip(computed_pixels(folder, paths, artifact, exact), paths, strict=True)
    ]
    return float(np.mean(seen))


def computed_pixels(folder: Path, paths: list[Path], artifact: Path, exact: bool) -> list[Pixels]:
    """Return what a worker's network would be given for each file: (crop, crop, 3)."""
    seen: list[Pixels] = []

    def keep(tile: Tile) -> Logits:
        seen.append(tile[0].copy())
        return np.zeros((1, 1), np.float32)

    spy = Classifier(
        labels=("any",),
        preprocessing=load_artifact(artifact).model.preprocessing,
        temperature=1.0,
        precision="exact" if exact else BF16,
        device="cpu",
        engine="none",
        threads=1,
        tile=1,
        logits=keep,
    )
    names = [str(path.relative_to(folder)).encode() for path in paths]
    outcomes = list(classify_files(spy, folder, names, top_k=1, limits=LIMITS))
    assert len(outcomes) == len(seen) == len(paths)
    return seen
