"""A trained model as an artifact."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
from pydantic import JsonValue

from imgq_trainer.artifacts import FORMAT, WEIGHTS_FILE, Artifact, Model, Weights, write_artifact
from imgq_trainer.training.candidates import Candidate


def write_model(
    folder: Path,
    candidate: Candidate,
    labels: Sequence[str],
    temperature: float,
    metrics: Mapping[str, JsonValue],
    provenance: Mapping[str, JsonValue],
) -> Artifact:
    """Write a trained model to a folder of this training; what an earlier try left there goes."""
    state = {name: value.contiguous().clone() for name, value in candidate.state.items()}
    weights = safetensors.torch.save(state)
    model = Model(
        format=FORMAT,
        architecture=candidate.start.architecture,
        labels=tuple(labels),
        preprocessing=candidate.how,
        weights=Weights(WEIGHTS_FILE, hashlib.sha256(weights).hexdigest()),
        temperature=temperature,
        metrics=dict(metrics),
        provenance=dict(provenance),
    )
    shutil.rmtree(folder, ignore_errors=True)
    return write_artifact(folder, model, weights)
