"""Pictures for the report: those that were labelled wrong, and what a network looked at."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn import functional

from imgq_trainer.architectures import load_network
from imgq_trainer.artifacts import Artifact
from imgq_trainer.datasets.paths import path_to_text
from imgq_trainer.datasets.values import Example
from imgq_trainer.datasets.verifying import read_example
from imgq_trainer.decoding import decode, prepare_pillow
from imgq_trainer.evaluating.evaluation import MOST_MISTAKES
from imgq_trainer.evaluating.scored import Scored, probabilities
from imgq_trainer.networks import PixelNetwork
from imgq_trainer.outcomes import Rejection
from imgq_trainer.preprocessing import Pixels, to_pixels
from imgq_trainer.reading import open_root
from imgq_trainer.reporting.values import Picture
from imgq_trainer.training.scoring import Judge

OVERLAYS = 8
#: of a thumbnail's longer side, in pixels
THUMBNAIL = 160
HEAT = 0.45


def mistakes(judge: Judge, examples: Sequence[Example], scored: Scored, t: float) -> list[Picture]:
    """Return the most confident mistakes, as people see them. t: the temperature."""
    confidence = probabilities(scored.logits, t).max(axis=1)
    wrong = np.flatnonzero(~scored.correct)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_MISTAKES].tolist()
    pictures = zip(order, _decoded(judge, [examples[row] for row in order]), strict=True)
    return [
        _picture(scored, row, image, float(confidence[row]))
        for row, image in pictures
        if image is not None
    ]


def overlays(
    judge: Judge, artifact: Artifact, examples: Sequence[Example], scored: Scored
) -> list[Picture]:
    """Return some pictures under a map of what spoke for their label (Grad-CAM).

    Half of them were labelled wrong, if so many were. Empty for networks without such a map.
    """
    network = load_network(artifact)
    seeing = PixelNetwork(network, artifact.model.preprocessing).eval()
    confidence = probabilities(scored.logits, artifact.model.temperature).max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    wrong = [row for row in order.tolist() if not scored.correct[row]][: OVERLAYS // 2]
    right = [row for row in order.tolist() if scored.correct[row]][: OVERLAYS - len(wrong)]
    made = []
    for row, image in zip(
        wrong + right, _decoded(judge, [examples[row] for row in wrong + right]), strict=True
    ):
        if image is None:
            continue
        pixels = np.array(to_pixels(image, artifact.model.preprocessing))
        heat = heat_map(seeing, pixels, int(scored.predicted[row]))
        if heat is None:
            return []
        made.append(_picture(scored, row, _blend(pixels, heat), float(confidence[row])))
    return made


def heat_map(seeing: PixelNetwork, pixels: Pixels, label: int) -> npt.NDArray[np.float32] | None:
    """Return where a picture speaks for a label, (H, W) in 0..1; None if its network has no map.

    pixels: (H, W, 3).
    """
    network: Any = seeing.network
    values = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2).to(torch.float32).div(255.0)
    with torch.enable_grad():
        features = network.forward_features(values.sub(seeing.mean).div(seeing.std)).detach()
        if features.ndim != 4 or features.shape[1] != getattr(network, "num_features", None):
            return None  # a transformer's tokens
        features.requires_grad_(True)
        score = network.forward_head(features)[0, label]
        (slopes,) = torch.autograd.grad(score, features)
    weights = slopes.mean((2, 3), keepdim=True)
    heat = functional.relu((weights * features).sum(1, keepdim=True)).detach()
    size = pixels.shape[:2]
    grown = functional.interpolate(heat, size, mode="bilinear", align_corners=False)[0, 0]
    high = float(grown.max())
    scaled: npt.NDArray[np.float32] = (grown / high if high > 0 else grown).numpy()
    return scaled


def _decoded(judge: Judge, examples: Sequence[Example]) -> Iterator[Image.Image | None]:
    prepare_pillow(judge.limits.max_pixels)
    with open_root(judge.root) as folder:
        for example in examples:
            data = read_example(folder, example)
            image = decode(data, example.path, max_pixels=judge.limits.max_pixels)
            yield None if isinstance(image, Rejection) else image


def _blend(pixels: Pixels, heat: npt.NDArray[np.float32]) -> Image.Image:
    """Colour a picture: blue where nothing speaks for the label, through green to red."""
    red = np.clip(2 * heat - 1, 0, 1)
    blue = np.clip(1 - 2 * heat, 0, 1)
    colours = 255 * np.stack([red, 1 - red - blue, blue], axis=2)
    return Image.fromarray(((1 - HEAT) * pixels + HEAT * colours).astype(np.uint8))


def _picture(scored: Scored, row: int, image: Image.Image, confidence: float) -> Picture:
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return Picture(
        path=path_to_text(scored.paths[row]),
        thumbnail=buffer.getvalue(),
        truth=scored.labels[int(scored.truth[row])],
        predicted=scored.labels[int(scored.predicted[row])],
        confidence=confidence,
    )
