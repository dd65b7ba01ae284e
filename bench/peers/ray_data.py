"""Ray Data as its guide to offline inference has it: read_images, map, map_batches."""

from functools import partial
from pathlib import Path
from typing import Any

import ray
import safetensors.torch
import torch
from torchvision import transforms
from torchvision.models import resnet18

from bench.peers.steady import read_arguments, report_difference

BATCH = 32


class Predictor:
    """The actor that holds the network."""

    def __init__(self, weights: str) -> None:
        self.network = resnet18().eval()
        self.network.load_state_dict(safetensors.torch.load_file(weights))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        with torch.inference_mode():
            best = self.network(torch.as_tensor(batch["pixels"])).topk(5).indices
        return {"labels": best.numpy()}


def prepare(row: dict[str, Any]) -> dict[str, Any]:
    """Turn one picture into what the network takes."""
    prepared = transforms.Compose(
        [
            transforms.ToTensor(),
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    return {"pixels": prepared(row["image"]).numpy()}


def label(weights: Path, folder: Path) -> int:
    """Return how many pictures of a folder were labelled."""
    pictures = ray.data.read_images(str(folder), mode="RGB").map(prepare)
    labelled = pictures.map_batches(
        Predictor, fn_constructor_args=(str(weights),), concurrency=1, batch_size=BATCH
    )
    return len(labelled.take_all())


def main() -> None:
    """Label both folders in one Ray of this machine."""
    asked = read_arguments()
    ray.init(include_dashboard=False, logging_level="error")
    report_difference(partial(label, asked.weights), asked)
    ray.shutdown()


if __name__ == "__main__":
    main()
