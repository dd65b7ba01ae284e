"""Reports of models that never were."""

import io
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from PIL import Image

from imgq_trainer.evaluating.evaluation import evaluate
from imgq_trainer.evaluating.scored import Scored
from imgq_trainer.evaluating.values import Evaluation
from imgq_trainer.reporting.values import EpochRow, Picture, ReportData

#: what a folder can be called, and a page must not fall for
HOSTILE = (
    "<script>alert(1)</script>",
    '" onload="alert(1)" \'',
    "{{ 7 * 7 }} & ]]> url(#x)",
    "\u202eesrever\x07",
)


def _evaluated(labels: tuple[str, ...], pictures: int = 60) -> Evaluation:
    random, count = np.random.default_rng(0), len(labels)
    truth = np.arange(pictures) % count
    logits = random.normal(size=(pictures, count))
    logits[np.arange(pictures), truth] += 2
    paths = tuple(f"{labels[k]}/{i}.jpg".encode() for i, k in enumerate(truth))
    scored = Scored(logits.astype(np.float32), truth, paths, labels)
    return evaluate(scored, temperature=1.2, majority=0, probe=scored, seed=0)


def _thumbnail(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), "teal").save(file, kind)
    return file.getvalue()


@pytest.fixture
def thumbnail() -> Callable[[str], bytes]:
    return _thumbnail


@pytest.fixture
def make_report() -> Callable[..., ReportData]:
    """Return a maker of reports: of labels, and any other field of ReportData."""

    def make(labels: tuple[str, ...] = ("cat", "dog"), **fields: object) -> ReportData:
        report = partial(ReportData, "A title", "birds", _evaluated(labels))
        return report(**fields)  # type: ignore[arg-type]

    return make


@pytest.fixture
def hostile(make_report: Callable[..., ReportData]) -> ReportData:
    """A report in which every text is hostile."""
    first = HOSTILE[0]
    picture = Picture(first, _thumbnail("PNG"), first, HOSTILE[1], 0.9)
    return make_report(
        HOSTILE,
        epochs=(EpochRow(first, 1, 1.0, 1.1, 0.5),),
        findings={
            "counts": [{"train": 1, "val": 1, "test": 1}] * len(HOSTILE),
            "corrupt": [{"path": first, "code": first, "detail": HOSTILE[1]}],
            "notes": list(HOSTILE),
        },
        settings={first: {HOSTILE[1]: list(HOSTILE)}},
        versions={first: first},
        digests={first: first},
        notes=HOSTILE,
        mistakes=(picture,),
        overlays=(picture,),
    )
