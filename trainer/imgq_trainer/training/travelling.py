"""What of a network travels between processes: weights to the hands, what they change back."""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from imgq_trainer.training.seen import Seen


class Luggage:
    """A network's tensors that training changes: trained weights, and what norms have seen.

    Norms go on from the statistics that the part before left, in one process. So each process
    begins with the leader's, and what comes back is put together as if its parts had followed
    those of the processes before it. All of it travels in one buffer, there and back: a process
    has no memory for more.
    """

    def __init__(self, network: nn.Module) -> None:
        """network: as it is in the step, with frozen weights and norms."""
        self._weights = [value for value in network.parameters() if value.requires_grad]
        self._seen = Seen(network)
        self._values = (*self._weights, *self._seen.values)

    @property
    def size(self) -> int:
        return sum(value.numel() for value in self._values)

    def pack(self) -> torch.Tensor:
        """Return the weights and statistics, (size,)."""
        self._seen.remember()
        flat = torch.empty(self.size, device=self._values[0].device)
        with torch.no_grad():
            for value, piece in zip(self._values, self._pieces(flat), strict=True):
                piece.copy_(value)
        return flat

    def unpack(self, flat: torch.Tensor) -> None:
        """Take over another process's weights and statistics."""
        with torch.no_grad():
            for value, piece in zip(self._values, self._pieces(flat), strict=True):
                value.copy_(piece)
        self._seen.remember()

    def put_back(self) -> None:
        """Forget what the norms have seen of a step that has to be begun again."""
        self._seen.put_back()

    def put_changes(self, flat: torch.Tensor, rank: int, counts: Sequence[int]) -> None:
        """Write what this process adds to the sum of all, (size,): gradients and statistics.

        counts: of each process's parts.
        """
        pieces, after = self._pieces(flat), sum(counts[rank + 1 :])
        for weight in self._weights:
            piece = next(pieces)
            if weight.grad is None:
                piece.zero_()
            else:
                piece.copy_(weight.grad)
        seen = self._seen
        for value, before, kept in zip(seen.values, seen.before, seen.kept, strict=True):
            own = value if rank == 0 else value - kept ** counts[rank] * before
            next(pieces).copy_(own * kept**after)

    def take_sum(self, flat: torch.Tensor, counts: Sequence[int]) -> None:
        """Let the network have the gradients and statistics that all came to: for the leader."""
        pieces = self._pieces(flat)
        with torch.no_grad():
            for weight in self._weights:
                piece = next(pieces)
                if weight.grad is not None:  # else nobody has one
                    weight.grad.copy_(piece)
            for seen in self._seen.values:
                seen.copy_(next(pieces))
        self._seen.count(sum(counts[1:]))

    def _pieces(self, flat: torch.Tensor) -> Iterator[torch.Tensor]:
        """Return views of the parts of a buffer, as they are shaped in the network."""
        pieces = torch.split(flat, [value.numel() for value in self._values])
        return (piece.view(value.shape) for piece, value in zip(pieces, self._values, strict=True))
