"""Measuring the ranges of a model's values on the pictures that it is going to label."""

from collections.abc import Callable, Sequence
from pathlib import Path

from imgq_trainer.artifacts import Artifact
from imgq_trainer.classifier import Classifier
from imgq_trainer.crew import Crew
from imgq_trainer.engines import INT8
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.in_flight import InFlight, untold
from imgq_trainer.networks import pixel_network
from imgq_trainer.openvino_engine import measuring_engine, openvino_name
from imgq_trainer.pipeline import classify_files, never
from imgq_trainer.ranges import Ranges

#: Of 300 cuts of photos the labels of 289 were kept with ranges from 16 pictures as from 256.
MOST_PICTURES, LEAST_PICTURES = 128, 16


def quantiser() -> str:
    """Return what ranges measured here are good for: that engine's graphs, cut in this way."""
    return f"{openvino_name()}/cuts-1"


def measure_ranges(
    artifact: Artifact,
    root: Path,
    names: Sequence[bytes],
    *,
    limits: ReadLimits,
    crew: Crew,
    spare: Sequence[bytes] = (),
    in_flight: Callable[[Sequence[bytes]], InFlight] = lambda _: untold,
    stop: Callable[[], bool] = never,
) -> Ranges:
    """Compute some of a folder's pictures and return the ranges that int8 needs.

    names: as for classify_files; what cannot be read is left out. spare: further ones, taken only
    if the others are too few. in_flight: returns for some of the names who is told what of these
    is being decoded. Raises QuantisationRefused, TooFewPictures, EngineUnavailable,
    Stopped, RootUnavailable, ScoresNotFinite.
    """
    model = artifact.model
    engine, measurement = measuring_engine(
        pixel_network(artifact), model.preprocessing.crop, crew.count
    )
    classifier = Classifier(
        labels=model.labels,
        preprocessing=model.preprocessing,
        temperature=model.temperature,
        precision=INT8,  # so that pictures are decoded as they will be
        device="cpu",
        engine=engine.name,
        threads=crew.count,
        tile=engine.tile,
        logits=engine.logits,
    )
    for part in (names, spare):
        if measurement.pictures < LEAST_PICTURES:
            some = _spread(part)
            list(
                classify_files(
                    classifier,
                    root,
                    some,
                    top_k=1,
                    limits=limits,
                    crew=crew,
                    in_flight=in_flight(some),
                    stop=stop,
                )
            )
    return measurement.ranges(least_pictures=LEAST_PICTURES)


def _spread(names: Sequence[bytes]) -> Sequence[bytes]:
    taken = min(MOST_PICTURES, len(names))
    return [names[part * len(names) // taken] for part in range(taken)]
