"""What a network's norms have seen: running statistics of the pictures that it learned from."""

import torch
from torch import nn

from imgq_trainer.training.optimising import norms_of


class Seen:
    """The statistics that training changes, each as a tensor of the network.

    kept: how much of each is left after a part of a step; 1 where it is the mean of all parts.
    """

    def __init__(self, network: nn.Module) -> None:
        """network: as it is in the step, with frozen norms."""
        norms = [norm for norm in norms_of(network) if norm.training and norm.track_running_stats]
        self.values: list[torch.Tensor] = []
        self.kept: list[float] = []
        for norm in norms:
            for value in (norm.running_mean, norm.running_var):
                assert value is not None  # it tracks them
                self.values.append(value)
                self.kept.append(1.0 if norm.momentum is None else 1.0 - norm.momentum)
        counters = (norm.num_batches_tracked for norm in norms)
        self._counters = [counter for counter in counters if counter is not None]
        #: the values when they were last remembered
        self.before: list[torch.Tensor] = []
        self._counted: list[torch.Tensor] = []

    def remember(self) -> None:
        self.before = [value.clone() for value in self.values]
        self._counted = [counter.clone() for counter in self._counters]

    def put_back(self) -> None:
        """Let the network have what was last remembered."""
        for value, before in zip(self.values, self.before, strict=True):
            value.copy_(before)
        for counter, before in zip(self._counters, self._counted, strict=True):
            counter.copy_(before)

    def count(self, parts: int) -> None:
        """Count parts that other processes have seen."""
        for counter in self._counters:
            counter.add_(parts)
