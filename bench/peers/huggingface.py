"""Hugging Face's image-classification pipeline over a list of files, as its page shows it."""

import tempfile
from functools import partial
from pathlib import Path

from transformers import (
    ConvNextImageProcessor,
    ResNetConfig,
    ResNetForImageClassification,
    pipeline,
)

from bench.peers.steady import pictures_in, read_arguments, report_difference


def main() -> None:
    """Label both folders with a resnet18 of random weights: its tensors have names of their own."""
    asked = read_arguments()
    with tempfile.TemporaryDirectory() as scratch:
        write_model(scratch)
        classify = pipeline("image-classification", model=scratch, device="cpu")
        report_difference(partial(label, classify), asked)


def write_model(folder: str) -> None:
    """Write a model as one downloads it."""
    config = ResNetConfig(
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        num_labels=1000,
    )
    ResNetForImageClassification(config).save_pretrained(folder)
    processor = ConvNextImageProcessor(
        size={"shortest_edge": 224},
        crop_pct=0.875,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    processor.save_pretrained(folder)


def label(classify: pipeline, folder: Path) -> int:
    """Return how many pictures of a folder were labelled."""
    return len(classify(pictures_in(folder)))


if __name__ == "__main__":
    main()
