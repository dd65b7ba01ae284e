"""A course that is underway: its weights, what was best so far, and what happened."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from imgq_trainer.training.checkpoints import Memory
from imgq_trainer.training.courses import Course, macro_f1
from imgq_trainer.training.optimising import make_optimiser
from imgq_trainer.training.probing import Logits, log_loss

State = dict[str, torch.Tensor]


class Underway:
    """Everything that changes while a course is trained; a checkpoint holds all of it."""

    def __init__(self, course: Course, device: torch.device) -> None:
        """Begin at the course's start."""
        torch.manual_seed(course.seed)
        self._course = course
        self._device = device
        network = course.begin()
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = make_optimiser(self.network, course.knobs)
        self.balance = course.balance.to(device)
        self._average = _copy(self.network.state_dict()) if course.knobs.ema else None
        self._best: State | None = None
        self._best_logits: Logits = np.empty((0, course.classes), np.float32)
        self._best_score = (-1.0, 0.0)
        self._best_epoch = 0
        #: how many epochs, and steps of the one after them, are behind
        self.epoch, self.step, self._steps = 0, 0, 0
        self._loss_sum, self._seen = 0.0, 0
        #: how many parts a batch is computed in
        self.parts = course.knobs.accumulate
        self.rate_factor = 1.0
        #: whether time was over before the course was
        self.cut_off = False
        self.history: list[dict[str, Any]] = []

    def add_loss(self, mean: float, pictures: int) -> None:
        self._loss_sum += mean * pictures
        self._seen += pictures

    def average_weights(self) -> None:
        """Let the averages follow the weights, faster in the first steps."""
        self._steps += 1
        if self._average is None:
            return
        decay = min(self._course.knobs.ema, (1 + self._steps) / (10 + self._steps))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self._average[name].lerp_(value, 1 - decay)
            else:
                self._average[name].copy_(value)

    def scores(self, values: torch.Tensor) -> torch.Tensor:
        """Return logits of the averaged weights, where there are any."""
        if self._average is None:
            plain: torch.Tensor = self.network(values)
            return plain
        averaged: torch.Tensor = torch.func.functional_call(self.network, self._average, (values,))
        return averaged

    def end_epoch(self, val_logits: Logits | None, learning_rate: float) -> dict[str, Any]:
        """Count the epoch; return its row of the history. val_logits: None without validation."""
        self.epoch, self.step = self.epoch + 1, 0
        val_loss = score = None
        if val_logits is not None and self._course.val is not None:
            truth = self._course.val.truth
            val_loss, score = log_loss(val_logits, truth), macro_f1(val_logits, truth)
            if (score, -val_loss) > self._best_score:
                self._best_score, self._best_epoch = (score, -val_loss), self.epoch
                self._best, self._best_logits = _copy(self._current()), val_logits
        row = {
            "stage": str(self._course.stage),
            "run": self._course.run,
            "epoch": self.epoch,
            "train_loss": self._loss_sum / max(self._seen, 1),
            "val_loss": val_loss,
            "macro_f1": score,
            "learning_rate": learning_rate,
        }
        self._loss_sum, self._seen = 0.0, 0
        self.history.append(row)
        return row

    def patience_is_over(self) -> bool:
        patience = self._course.knobs.patience
        return bool(patience and self._best_epoch and self.epoch - self._best_epoch >= patience)

    def result(self) -> tuple[State, Logits, int]:
        """Return the best weights, what they said of validation's pictures, and their epoch."""
        if self._best is None:
            return _copy(self._current()), self._best_logits, self.epoch
        return self._best, self._best_logits, self._best_epoch

    def memory(self) -> Memory:
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        for place, state in (("average", self._average), ("best", self._best)):
            tensors |= {f"{place}/{name}": value for name, value in (state or {}).items()}
        for number, values in self.optimiser.state_dict()["state"].items():
            known = {name: value for name, value in values.items() if value is not None}
            tensors |= {f"optimiser/{number}/{name}": value for name, value in known.items()}
        tensors["best_logits"] = torch.from_numpy(self._best_logits)
        facts = {
            "epochs": self._course.epochs,
            "stop_after": self._course.stop_after,
            "epoch": self.epoch,
            "step": self.step,
            "steps": self._steps,
            "loss_sum": self._loss_sum,
            "seen": self._seen,
            "parts": self.parts,
            "rate_factor": self.rate_factor,
            "best_score": list(self._best_score),
            "best_epoch": self._best_epoch,
            "history": self.history,
        }
        return Memory(facts, tensors)

    def restore(self, memory: Memory) -> None:
        """Go on from what was remembered, to the last bit."""
        facts, tensors = memory.facts, memory.tensors
        self.network.load_state_dict(_part(tensors, "network"))
        if self._average is not None:
            self._average = self._placed(_part(tensors, "average"))
        self._best = self._placed(_part(tensors, "best")) or None
        self._best_logits = tensors["best_logits"].numpy()
        self._restore_optimiser(_part(tensors, "optimiser"))
        self.epoch, self.step, self._steps = facts["epoch"], facts["step"], facts["steps"]
        self._loss_sum, self._seen = facts["loss_sum"], facts["seen"]
        self.parts, self.rate_factor = facts["parts"], facts["rate_factor"]
        score, loss = facts["best_score"]
        self._best_score, self._best_epoch = (score, loss), facts["best_epoch"]
        self.history = list(facts["history"])

    def _restore_optimiser(self, tensors: Mapping[str, torch.Tensor]) -> None:
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            number, _, key = name.partition("/")
            state.setdefault(int(number), {})[key] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})

    def _current(self) -> Mapping[str, torch.Tensor]:
        return self.network.state_dict() if self._average is None else self._average

    def _placed(self, state: Mapping[str, torch.Tensor]) -> State:
        return {name: value.to(self._device) for name, value in state.items()}


def _copy(state: Mapping[str, torch.Tensor]) -> State:
    return {name: value.detach().clone() for name, value in state.items()}


def _part(tensors: Mapping[str, torch.Tensor], place: str) -> State:
    start = f"{place}/"
    return {
        name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)
    }
