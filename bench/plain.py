"""What plain Pillow and torch in fp32 say of a folder: the labels that others are held to."""

from pathlib import Path

import numpy as np
import torch

from bench.network import read_network, read_recipe
from bench.pictures import pictures_in
from bench.roofline import PixelNetwork, by_pillow

BATCH = 32


def plain_labels(folder: Path, artifact: Path) -> dict[str, tuple[str, float]]:
    """Return the label of each picture, and how sure it is, 0..1, by path."""
    recipe, paths = read_recipe(artifact), pictures_in(folder)
    network, prepare = PixelNetwork(read_network(artifact), recipe), by_pillow(recipe)
    said = {}
    for first in range(0, len(paths), BATCH):
        batch = paths[first : first + BATCH]
        pixels = torch.from_numpy(np.stack([prepare(path) for path in batch]))
        with torch.inference_mode():
            scores, best = network(pixels).softmax(1).max(1)
        for path, score, place in zip(batch, scores.tolist(), best.tolist(), strict=True):
            said[str(path.relative_to(folder))] = (recipe.labels[place], score)
    return said
