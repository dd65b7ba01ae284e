"""The Celery application one would write first: one picture, one task, the model kept warm."""

import functools
import os

import safetensors.torch
import torch
from celery import Celery
from PIL import Image
from torchvision.models import ResNet18_Weights, resnet18

app = Celery("naive", broker=os.environ["NAIVE_URL"], backend=os.environ["NAIVE_URL"])


@functools.cache
def load() -> torch.nn.Module:
    """Return the network; once a process."""
    network: torch.nn.Module = resnet18().eval()
    network.load_state_dict(safetensors.torch.load_file(os.environ["NAIVE_WEIGHTS"]))
    return network


@app.task  # type: ignore[untyped-decorator]
def classify(path: str) -> tuple[int, float]:
    """Return the label of a picture and how sure it is."""
    with Image.open(path) as image:
        pixels = ResNet18_Weights.DEFAULT.transforms()(image.convert("RGB"))
    with torch.no_grad():
        scores = load()(pixels[None]).softmax(1)[0]
    return int(scores.argmax()), float(scores.max())
