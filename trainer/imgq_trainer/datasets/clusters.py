"""Things that belong together, found pair by pair."""

from collections.abc import Iterable


class Clusters:
    """Numbers 0..count-1, each in a cluster of its own until it is joined to another."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def find(self, one: int) -> int:
        """Return the number that stands for a cluster: the smallest in it."""
        above = self._above
        while above[one] != one:
            above[one] = above[above[one]]
            one = above[one]
        return one

    def join(self, one: int, other: int) -> None:
        one, other = self.find(one), self.find(other)
        self._above[max(one, other)] = min(one, other)

    def join_equal(self, keys: Iterable[object]) -> None:
        """Join the numbers whose keys are equal; keys[i] is that of i, None of nobody's."""
        first: dict[object, int] = {}
        for number, key in enumerate(keys):
            if key is not None:
                self.join(number, first.setdefault(key, number))

    def roots(self) -> list[int]:
        """Return what `find` says of each number."""
        return [self.find(one) for one in range(len(self._above))]
