"""What of a network travels between processes: weights to the hands, what they change back."""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from imgq_trainer.training.optimising import Norm, norms_of


class Luggage:
    """A network's tensors that training changes: trained weights, and what norms have seen.

    Norms go on from the statistics that the part before left, in one process. So each process
    begins with the leader's, and what comes back is put together as if its parts had followed
    those of the processes before it.
    """

    def __init__(self, network: nn.Module) -> None:
        """network: as it is in the step, with frozen weights and norms."""
        self._weights = [value for value in network.parameters() if value.requires_grad]
        self._seen = [value for value in network.buffers() if value.is_floating_point()]
        self._kept = _kept_shares(network, self._seen)
        self._norms = list(_counting(network))
        self._before: list[torch.Tensor] = []

    @property
    def size(self) -> int:
        return sum(value.numel() for value in (*self._weights, *self._seen))

    def pack(self) -> torch.Tensor:
        """Return the weights and statistics, (size,)."""
        self._before = [value.clone() for value in self._seen]
        return _flat([*self._weights, *self._seen])

    def unpack(self, flat: torch.Tensor) -> None:
        """Take over another process's weights and statistics."""
        with torch.no_grad():
            values = (*self._weights, *self._seen)
            for value, piece in zip(values, _pieces(flat, values), strict=True):
                value.copy_(piece)
        self._before = [value.clone() for value in self._seen]

    def changes(self, rank: int, counts: Sequence[int]) -> torch.Tensor:
        """Return what this process adds to the sum of all, (size,): gradients and statistics.

        counts: of each process's parts.
        """
        gradients = [
            torch.zeros_like(value) if value.grad is None else value.grad for value in self._weights
        ]
        after = sum(counts[rank + 1 :])
        seen = []
        for value, before, kept in zip(self._seen, self._before, self._kept, strict=True):
            own = value if rank == 0 else value - kept ** counts[rank] * before
            seen.append(own * kept**after)
        return _flat([*gradients, *seen])

    def take_sum(self, flat: torch.Tensor, counts: Sequence[int]) -> None:
        """Let the network have the gradients and statistics that all came to: for the leader."""
        pieces = _pieces(flat, (*self._weights, *self._seen))
        with torch.no_grad():
            for weight in self._weights:
                piece = next(pieces)
                if weight.grad is not None:  # else nobody has one
                    weight.grad.copy_(piece)
            for seen in self._seen:
                seen.copy_(next(pieces))
            for norm in self._norms:
                if norm.num_batches_tracked is not None:
                    norm.num_batches_tracked += sum(counts[1:])


def _kept_shares(network: nn.Module, seen: Sequence[torch.Tensor]) -> list[float]:
    """Return how much of each statistic is left after a part; 1 for whatever is no average."""
    kept = {
        id(value): 1.0 - norm.momentum
        for norm in _counting(network)
        if norm.momentum is not None
        for value in (norm.running_mean, norm.running_var)
    }
    return [kept.get(id(value), 1.0) for value in seen]


def _counting(network: nn.Module) -> Iterator[Norm]:
    return (norm for norm in norms_of(network) if norm.training and norm.track_running_stats)


def _flat(values: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([value.detach().reshape(-1).to(torch.float32) for value in values])


def _pieces(flat: torch.Tensor, like: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
    pieces = torch.split(flat, [value.numel() for value in like])
    return (piece.view(value.shape) for piece, value in zip(pieces, like, strict=True))
