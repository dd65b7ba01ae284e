"""An artifact's network as engines take it: from bytes of pixels to logits."""

import torch

from imgq_trainer.architectures import load_network
from imgq_trainer.artifacts import Artifact, Preprocessing


class PixelNetwork(torch.nn.Module):
    """Normalisation and the network: (B, H, W, 3) of uint8 to (B, K).

    Values are computed in the type of its parameters.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: torch.nn.Module, how: Preprocessing) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(how.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(how.std).view(1, 3, 1, 1))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        # (B, H, W, 3) -> (B, 3, H, W), which is channels_last in memory already
        values = pictures.permute(0, 3, 1, 2).to(torch.float32).div(255.0)
        normal = values.sub(self.mean).div(self.std)
        logits: torch.Tensor = self.network(normal.to(self.precision))
        return logits

    @property
    def precision(self) -> torch.dtype:
        return next(self.network.parameters()).dtype


def pixel_network(artifact: Artifact) -> PixelNetwork:
    """Build the artifact's network. Raises ArtifactInvalid, ArchitectureUnknown."""
    return PixelNetwork(load_network(artifact), artifact.model.preprocessing).eval()
