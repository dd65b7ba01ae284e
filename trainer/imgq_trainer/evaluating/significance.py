"""Whether one model is better than another on the same pictures, or was lucky."""

from dataclasses import dataclass
from math import exp, fsum, lgamma, log

from imgq_trainer.evaluating.scored import Flags


@dataclass(frozen=True, slots=True)
class Pairs:
    """Two models on the same pictures; the ones that both get right or both wrong are no news."""

    pictures: int
    only_first_right: int
    only_second_right: int

    @property
    def p_first_better(self) -> float:
        """The chance of such a lead of the first, or a larger one, between equals."""
        return at_least(self.only_first_right, self.only_first_right + self.only_second_right)

    @property
    def p_second_better(self) -> float:
        """The chance of such a lead of the second, or a larger one, between equals."""
        return at_least(self.only_second_right, self.only_first_right + self.only_second_right)


def pair(first_correct: Flags, second_correct: Flags) -> Pairs:
    """Count what McNemar's test needs; both are (N,)."""
    return Pairs(
        pictures=len(first_correct),
        only_first_right=int((first_correct & ~second_correct).sum()),
        only_second_right=int((second_correct & ~first_correct).sum()),
    )


def at_least(heads: int, throws: int) -> float:
    """Return the chance of so many heads or more in throws of a fair coin: the exact one-sided
    McNemar test, where heads are the pictures that only one model has right."""
    if heads <= 0:
        return 1.0
    whole = lgamma(throws + 1) - throws * log(2)
    terms = (exp(whole - lgamma(k + 1) - lgamma(throws - k + 1)) for k in range(heads, throws + 1))
    return min(fsum(terms), 1.0)
