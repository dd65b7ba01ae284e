"""The format of artifacts is read on both sides of the wall between db and trainer: alike."""

import json
from typing import Any

import pydantic
import pytest

from imgq_db.artifact_format import REFUSED_ARGUMENTS, ArtifactDocument
from imgq_trainer.architectures import REFUSED_ARGUMENTS as REFUSED_BY_THE_TRAINER
from imgq_trainer.artifacts import Model

DOCUMENT: dict[str, Any] = {
    "format": "imgq-model/1",
    "architecture": {"library": "timm", "name": "resnet18", "arguments": {}},
    "labels": ["a", "b"],
    "preprocessing": {
        "resize": 256,
        "crop": 224,
        "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    },
    "weights": {"file": "weights.safetensors", "sha256": "0" * 64},
    "temperature": 1.0,
    "metrics": {},
    "provenance": {},
}


def variants() -> list[dict[str, Any]]:
    """Return the document with each field missing, misspelt or of another type."""
    made = [DOCUMENT]
    for name, value in DOCUMENT.items():
        others = {key: each for key, each in DOCUMENT.items() if key != name}
        made += [others, {**others, name: None}, {**others, name: 7}, {**others, name: "x"}]
        if isinstance(value, dict):
            for inner in value:
                rest = {key: each for key, each in value.items() if key != inner}
                made += [{**others, name: rest}, {**others, name: {**rest, inner: [7]}}]
            made.append({**others, name: {**value, "more": 1}})
    own = {**DOCUMENT["architecture"], "library": "imgq", "name": "small_cnn"}
    made += [{**DOCUMENT, "architecture": own}]
    for fit in ("crop", "pad", "squash", "stretch", None):
        made.append({**DOCUMENT, "preprocessing": {**DOCUMENT["preprocessing"], "fit": fit}})
    return made


def accepts(model: Any, text: str) -> bool:
    try:
        pydantic.TypeAdapter(model).validate_json(text)
    except pydantic.ValidationError:
        return False
    return True


@pytest.mark.parametrize("document", variants(), ids=json.dumps)
def test_both_sides_accept_and_refuse_the_same(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert accepts(ArtifactDocument, text) == accepts(Model, text)


def test_both_sides_refuse_the_same_arguments() -> None:
    assert REFUSED_ARGUMENTS == REFUSED_BY_THE_TRAINER
