"""What a network says of pictures as they are, as many at once as there is memory for."""

from collections.abc import Callable

import numpy as np
import torch

from imgq_trainer.errors import Stopped
from imgq_trainer.memory import is_out_of_memory
from imgq_trainer.training.augmenting import View
from imgq_trainer.training.courses import Course, Sample
from imgq_trainer.training.errors import OutOfMemory
from imgq_trainer.training.events import Events
from imgq_trainer.training.machine import Machine
from imgq_trainer.training.probing import Logits

#: pictures that are computed at once
BATCH = 64

#: a network in evaluation, or its averaged weights
Scores = Callable[[torch.Tensor], torch.Tensor]


def predict(
    scores: Scores, sample: Sample, course: Course, machine: Machine, events: Events
) -> Logits:
    """Return the logits of a sample's pictures: (N, K).

    course: whose network it is. Raises Stopped, OutOfMemory.
    """
    parts: list[Logits] = []
    done, at_once = 0, BATCH
    while done < len(sample):
        if machine.stop():
            raise Stopped
        rows = sample.rows[done : done + at_once].tolist()
        logits = _logits(scores, sample, course, machine, rows)
        if logits is None:
            at_once = _halved(course, machine, events, len(rows))
            continue
        parts.append(logits)
        done += len(rows)
        events.progress(done, len(sample))
    return np.concatenate(parts) if parts else np.empty((0, course.classes), np.float32)


def _logits(
    scores: Scores, sample: Sample, course: Course, machine: Machine, rows: list[int]
) -> Logits | None:
    """Return some pictures' logits; None if there is too little memory for so many."""
    view = View(sample.pictures.how, sample.pictures.how.crop, machine.device)
    try:
        with torch.inference_mode():
            values = view.plain(sample.pictures.take(rows))
            with machine.autocast(course.knobs.bf16):
                logits: Logits = scores(values).float().cpu().numpy()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    return logits


def _halved(course: Course, machine: Machine, events: Events, pictures: int) -> int:
    machine.free_memory()
    if pictures == 1:
        raise OutOfMemory(course.stage)
    events.log(
        f"There is too little memory for {pictures} pictures of validation at once: they are"
        f" computed {pictures // 2} at a time.",
        "warning",
    )
    return pictures // 2
