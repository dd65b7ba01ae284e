"""In which runs a chunk's pictures are looked at, when some of them are suspect."""

from collections.abc import Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from imgq_db.crashes import Suspect
from imgq_workers.trials import try_suspects

CONTEXT: Any = SimpleNamespace(
    crew=SimpleNamespace(count=2), breadcrumbs=SimpleNamespace(alone=nullcontext)
)
IMAGES, FIRST_IMAGE = 8, 100


def suspect(place: int) -> Suspect:
    image = FIRST_IMAGE + place
    return Suspect(image, 1, 0, 0, 0, "worker_crash", "it ended a worker")


@pytest.mark.parametrize(
    ("suspects", "runs"),
    [
        ([], [[*range(8)]]),
        ([suspect(3)], [[3], [0, 1, 2], [4, 5, 6, 7]]),
        ([suspect(0), suspect(2), suspect(7)], [[0], [2], [7], [1], [3, 4, 5, 6]]),
        ([suspect(place) for place in range(8)], [[place] for place in range(8)] + [[]]),
    ],
)
def test_a_run_of_pictures_holds_none_that_was_tried_before(
    suspects: list[Suspect], runs: list[list[int]]
) -> None:
    names = [str(place) for place in range(IMAGES)]
    lease: Any = SimpleNamespace(first_image=FIRST_IMAGE, names=names, suspects=suspects)
    looked: list[tuple[list[int], bool]] = []

    def look(places: Sequence[int], last: bool) -> list[str]:
        looked.append((list(places), last))
        return [names[place] for place in places]

    assert try_suspects(CONTEXT, lease, look) == names
    assert looked == [*((run, False) for run in runs[:-1]), (runs[-1], True)]
