"""The loop that one would write instead: Pillow and torch, one process, batches of 32."""

import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from torchvision.transforms import v2

from imgq_trainer.architectures import load_network
from imgq_trainer.lite_weights import write_builtin_artifact

BATCH = 32


def main() -> None:
    """Print images per second over a folder."""
    with tempfile.TemporaryDirectory() as scratch:
        network = load_network(write_builtin_artifact(Path(scratch) / "artifact"))
    prepare = v2.Compose(
        [
            v2.Resize(256, v2.InterpolationMode.BICUBIC),
            v2.CenterCrop(224),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([127 / 255] * 3, [128 / 255] * 3),
        ]
    )
    files = sorted(Path(sys.argv[1]).iterdir())
    started = time.perf_counter()
    with torch.inference_mode():
        for first in range(0, len(files), BATCH):
            batch = [prepare(Image.open(f).convert("RGB")) for f in files[first : first + BATCH]]
            network(torch.stack(batch)).softmax(1).topk(5)
    print(len(files) / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
