"""A linear probe: logistic regression on features, solved to the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from imgq_trainer.training.embedding import Features
from imgq_trainer.training.weighing import Balance

Truth = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]
#: a feature that hardly varies is not blown up
LEAST_DEVIATION = 1e-4


@dataclass(frozen=True, slots=True)
class Probe:
    """weight: (K, D), bias: (K,), for features as they come. l2: what it was fitted with."""

    weight: torch.Tensor
    bias: torch.Tensor
    l2: float

    def logits(self, features: Features) -> Logits:
        scores: Logits = (torch.from_numpy(features) @ self.weight.T + self.bias).numpy()
        return scores


def fit_probe(
    features: Features,
    truth: Truth,
    balance: Balance,
    strengths: Sequence[float],
    iterations: int,
    *,
    alive: Callable[[], None],
) -> list[Probe]:
    """Return a probe for each strength, from the strongest on, each begun at the one before.

    features: (N, D). alive: called at each step. The loss is the mean over the pictures plus half
    of l2 times the squared weights, on features of mean 0 and deviation 1; so it means the same
    for any N.
    """
    values = torch.from_numpy(features)
    mean, deviation = values.mean(0), values.std(0, correction=0).clamp_min(LEAST_DEVIATION)
    normal = (values - mean) / deviation
    classes = len(balance.offsets)
    weight = torch.zeros(classes, normal.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    probes = []
    for l2 in sorted(strengths, reverse=True):
        _solve(normal, torch.from_numpy(truth), balance, weight, bias, l2, iterations, alive)
        plain = weight.detach() / deviation
        probes.append(Probe(plain, bias.detach() - plain @ mean, l2))
    return probes


def choose_probe(probes: Sequence[Probe], features: Features, truth: Truth) -> Probe:
    """Return the one with the lowest loss on validation; the middle one without any."""
    if not len(truth):
        return probes[len(probes) // 2]
    losses = [log_loss(probe.logits(features), truth) for probe in probes]
    return probes[int(np.argmin(losses))]


def log_loss(logits: Logits, truth: Truth) -> float:
    """Return the mean loss of logits, (N, K)."""
    return float(functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(truth)))


def _solve(
    normal: torch.Tensor,
    truth: torch.Tensor,
    balance: Balance,
    weight: torch.Tensor,
    bias: torch.Tensor,
    l2: float,
    iterations: int,
    alive: Callable[[], None],
) -> None:
    solver = torch.optim.LBFGS(
        [weight, bias],
        max_iter=iterations,
        tolerance_grad=1e-6,
        tolerance_change=1e-8,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        solver.zero_grad()
        scores = torch.addmm(bias, normal, weight.T)
        loss = balance.loss(scores, truth) + l2 / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        alive()
        return loss

    solver.step(closure)  # type: ignore[no-untyped-call]
