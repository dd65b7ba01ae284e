"""`python -m tests.faults.storm.worker NAME`: a worker whose network is a stand-in without torch.

All else is real: Celery, bells, claims, leases, files, decoders, breadcrumbs and the ledger.
"""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from celery import signals

from imgq_db.settings import Settings, settings_or_exit
from imgq_workers import context
from imgq_workers.devices import Devices
from imgq_workers.models import LoadedModels

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LABELS: Final = tuple(
    f"{shade} {colour}" for shade in ("dark", "light") for colour in ("red", "green", "blue")
)
#: In the environment: where a child notes its name, when it begins to work, and its owner id, so
#: that what a fault took can be told.
OWNERS: Final = "STORM_OWNERS"
#: What computing a picture takes, though not of the processor: faults are to hit chunks in the
#: middle, on any machine.
PICTURE_SECONDS: Final = 0.003

_make_context = context.make_context


class ColourClassifier:
    """Tells a picture's strongest colour and its shade: a function of the pixels alone."""

    labels = LABELS
    precision, device, engine = "exact", "cpu", "colours/exact"
    threads, tile = 1, 1
    decode_ahead = None

    def __init__(self) -> None:
        from imgq_trainer.artifacts import Preprocessing

        self.preprocessing = Preprocessing(
            resize=16, crop=16, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3
        )

    def probabilities(self, batch: "npt.ArrayLike") -> "npt.NDArray[np.float32]":
        """(B, H, W, 3) of uint8 -> (B, 6)."""
        import numpy as np

        colours = np.asarray(batch, np.float32).mean(axis=(1, 2)) / 25
        light = (colours.sum(axis=1, keepdims=True) - 15) / 4
        grown = np.exp(np.concatenate([colours - light, colours + light], axis=1))
        shares: npt.NDArray[np.float32] = grown / grown.sum(axis=1, keepdims=True)
        time.sleep(PICTURE_SECONDS * len(shares))
        return shares


class StandInModels(LoadedModels):
    """Loads the stand-in, whatever the version."""

    def _offer(self, _device: str) -> tuple[str, ...]:
        return ("exact",)

    def _load(self, *_: object) -> Any:
        return ColourClassifier()


def leave_torch_out() -> None:
    """Let the pipeline be imported in a tenth of the time: children die all the time here.

    The network is a stand-in; of the rest only the fast way to resize an array needs torch, and
    the slow way stands in for it.
    """
    no_filter = SimpleNamespace(default=None)
    filters = SimpleNamespace(_upsample_bicubic2d_aa=no_filter, _upsample_bilinear2d_aa=no_filter)
    torch = _module("torch", ops=SimpleNamespace(aten=filters))
    sys.modules["imgq_trainer.classifier"] = _module(
        "imgq_trainer.classifier", Classifier=ColourClassifier, Probabilities=object
    )
    sys.modules["torch"] = torch
    from PIL import Image

    from imgq_trainer import preprocessing

    def resize(picture: "preprocessing.Pixels", how: Any) -> "preprocessing.Pixels":
        return preprocessing.to_pixels(Image.fromarray(picture), how)

    preprocessing.array_to_pixels = resize
    del sys.modules["torch"]


def _module(name: str, **content: object) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(content)
    return made


def _make_stand_in(settings: Settings, **composed: Any) -> context.WorkerContext:
    """Compose the real parts but the models, and note who it is that will claim."""
    made = _make_context(settings, **composed)
    name = os.environ[context.WORKER_NAME]
    for note in (name, f"{name}={made.owner}"):
        Path(os.environ[OWNERS], note).touch()
    models = StandInModels(made.engine, settings, Devices(made.engine, settings))
    return replace(made, models=models)


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def _compose(**_: object) -> None:
    """Let the child that does the work compose itself with the stand-in."""
    leave_torch_out()
    context.make_context = _make_stand_in


if __name__ == "__main__":
    # Here alone: pool children import this module, and nothing of what their parent runs.
    from imgq_workers.worker import run_worker

    run_worker(settings_or_exit(), name=sys.argv[1], modules=["tests.faults.storm.worker"])
