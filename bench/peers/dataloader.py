"""A loop over a torchvision DataLoader: ImageFolder, the preset's transforms, batches of 32."""

import os
from functools import partial
from pathlib import Path

import safetensors.torch
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.models import ResNet18_Weights, resnet18

from bench.peers.steady import read_arguments, report_difference

BATCH = 32


def main() -> None:
    """Label both folders."""
    asked = read_arguments()
    network = resnet18().eval()
    network.load_state_dict(safetensors.torch.load_file(asked.weights))
    report_difference(partial(label, network), asked)


def label(network: torch.nn.Module, folder: Path) -> int:
    """Return how many pictures of a folder were labelled."""
    pictures, labels = ImageFolder(folder, ResNet18_Weights.DEFAULT.transforms()), []
    loader = DataLoader(pictures, batch_size=BATCH, num_workers=os.cpu_count() or 1)
    with torch.no_grad():
        for batch, _ in loader:
            labels += network(batch).softmax(1).topk(5).indices.tolist()
    return len(labels)


if __name__ == "__main__":
    main()
