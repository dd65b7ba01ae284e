"""Ultralytics' predict over a folder, with its own resnet18 and the defaults of predict.

Ultralytics is under the AGPL: nothing of imgq depends on it, and nothing of it is kept here.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import ultralytics
from ultralytics import YOLO

from bench.peers.steady import Asked, pictures_in, read_arguments, report_stream

MODEL = "yolo11-cls-resnet18.yaml"
WARM = 32


def main() -> None:
    """Label the long folder."""
    asked = read_arguments()
    report_stream(label(asked), warm=WARM, total=len(pictures_in(asked.long)))


def label(asked: Asked) -> Iterator[int]:
    """Yield 1 for each picture; its network has another head, so its weights are random."""
    with tempfile.TemporaryDirectory() as scratch:
        weights = str(Path(scratch, "resnet18.pt"))
        YOLO(str(without_download(Path(scratch)))).save(weights)
        source = str(next(path for path in asked.long.iterdir() if path.is_dir()))
        for result in YOLO(weights).predict(source, imgsz=224, stream=True, device="cpu"):
            assert result.probs is not None
            yield 1


def without_download(folder: Path) -> Path:
    """Return the package's own description of the network, with no weights to be fetched."""
    described = next(Path(ultralytics.__file__).parent.rglob(MODEL)).read_text()
    changed = folder / MODEL
    changed.write_text(described.replace("resnet18, DEFAULT,", "resnet18, null,"))
    return changed


if __name__ == "__main__":
    main()
