"""Ranges: what a network's values were on some pictures, which is all that int8 needs to know."""

import hashlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from imgq_trainer.errors import RangesInvalid

Values = npt.NDArray[np.float32]
_FIXED = ("pictures", "sizes", "low", "high")


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """Measured once for a model version, and then the same for every worker.

    T: the network's values that are computed in 8 bits, in the order of its graph.
    """

    #: how many pictures they were measured on
    pictures: int
    #: (T,): how many numbers a value has for one picture
    sizes: npt.NDArray[np.int64]
    #: (T,)
    low: Values
    #: (T,)
    high: Values
    #: of each operation with weights its input's mean: (C,)
    means: tuple[Values, ...]

    @property
    def digest(self) -> str:
        """sha256 of the bytes."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Write them as safetensors: some 10 kB for each thousand channels."""
        fixed: dict[str, npt.NDArray[Any]] = {
            "pictures": np.array([self.pictures], np.int64),
            "sizes": self.sizes,
            "low": self.low,
            "high": self.high,
        }
        means = {f"mean.{place:05}": mean for place, mean in enumerate(self.means)}
        return safetensors.numpy.save({**fixed, **means})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what to_bytes wrote. Raises RangesInvalid."""
        try:
            found = safetensors.numpy.load(content)
            pictures, sizes, low, high = (found.pop(name) for name in _FIXED)
        except (safetensors.SafetensorError, KeyError) as error:
            raise RangesInvalid(f"they cannot be read ({error})") from error
        means = tuple(found[name] for name in sorted(found))
        return cls(int(pictures[0]), sizes, low, high, means)
