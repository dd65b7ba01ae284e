"""A loop over a torchvision DataLoader: ImageFolder, the preset's transforms, batches of 32."""

import os
from collections.abc import Iterator

import safetensors.torch
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.models import ResNet18_Weights, resnet18

from bench.peers.steady import Asked, pictures_in, read_arguments, report_stream

BATCH = 32
WARM = 4 * BATCH


def main() -> None:
    """Label the long folder."""
    asked = read_arguments()
    report_stream(label(asked), warm=WARM, total=len(pictures_in(asked.long)))


def label(asked: Asked) -> Iterator[int]:
    """Yield how many pictures each batch has labelled."""
    network = resnet18().eval()
    network.load_state_dict(safetensors.torch.load_file(asked.weights))
    pictures = ImageFolder(asked.long, ResNet18_Weights.DEFAULT.transforms())
    loader = DataLoader(pictures, batch_size=BATCH, num_workers=os.cpu_count() or 1)
    with torch.no_grad():
        for batch, _ in loader:
            best = network(batch).softmax(1).topk(5)
            yield len(best.indices.tolist())


if __name__ == "__main__":
    main()
