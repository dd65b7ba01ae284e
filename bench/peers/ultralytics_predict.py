"""Ultralytics' predict over a folder, with its own resnet18 and the defaults of predict.

Ultralytics is under the AGPL: nothing of imgq depends on it, and nothing of it is kept here.
"""

import tempfile
from functools import partial
from pathlib import Path

import ultralytics
from ultralytics import YOLO

from bench.peers.steady import read_arguments, report_difference

MODEL = "yolo11-cls-resnet18.yaml"


def main() -> None:
    """Label both folders; its network has another head, so its weights are random."""
    with tempfile.TemporaryDirectory() as scratch:
        weights = str(Path(scratch, "resnet18.pt"))
        YOLO(str(without_download(Path(scratch)))).save(weights)
        report_difference(partial(label, YOLO(weights)), read_arguments())


def label(network: YOLO, folder: Path) -> int:
    """Return how many pictures of a folder were labelled."""
    source = str(next(path for path in folder.iterdir() if path.is_dir()))
    results = network.predict(source, imgsz=224, stream=True, device="cpu")
    return sum(result.probs is not None for result in results)


def without_download(folder: Path) -> Path:
    """Return the package's own description of the network, with no weights to be fetched."""
    described = next(Path(ultralytics.__file__).parent.rglob(MODEL)).read_text()
    changed = folder / MODEL
    changed.write_text(described.replace("resnet18, DEFAULT,", "resnet18, null,"))
    return changed


if __name__ == "__main__":
    main()
