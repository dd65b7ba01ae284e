"""What of a source is one picture: the same bytes, or the same looks; and what that forbids."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from imgq_trainer.datasets.clusters import Clusters
from imgq_trainer.datasets.gathering import Gathered, Stop
from imgq_trainer.datasets.likeness import Looks, like_pairs
from imgq_trainer.datasets.listing import Listed
from imgq_trainer.datasets.splitting import strongest
from imgq_trainer.datasets.values import Conflict, Leak

Groups = Sequence[Sequence[int]]


class Picture(NamedTuple):
    """A readable picture. cluster: the number of its copies, exact and near."""

    listed: Listed
    digest: bytes
    cluster: int


@dataclass(frozen=True, slots=True)
class Likeness:
    """Indices of gathered pictures, in order. clusters[i] is that of picture i."""

    clusters: Sequence[int]
    #: pictures with the same bytes; pictures that look the same, one for the same bytes
    same: Groups
    alike: Groups


def find_likeness(gathered: Gathered, stop: Stop) -> Likeness:
    """Raises Stopped."""
    same = _by_key(gathered.digests)
    firsts = np.array([indices[0] for indices in same], np.int64)
    looks = Looks(gathered.looks.pixels[firsts], gathered.looks.sizes[firsts])
    clusters = Clusters(len(gathered.files))
    clusters.join_equal(gathered.digests)
    for ones, others in like_pairs(looks, stop):
        for one, other in zip(firsts[ones].tolist(), firsts[others].tolist(), strict=True):
            clusters.join(one, other)
    roots = clusters.roots()
    alike = _by_key(roots[first] for first in firsts.tolist())
    return Likeness(
        roots,
        [indices for indices in same if len(indices) > 1],
        [firsts[list(group)].tolist() for group in alike if len(group) > 1],
    )


def find_conflicts(files: Sequence[Listed], likeness: Likeness) -> tuple[Conflict, ...]:
    """Tell which pictures have several labels."""
    found = []
    for exact, groups in ((True, likeness.same), (False, likeness.alike)):
        for group in groups:
            labels = tuple(files[index].label for index in group)
            if len(set(labels)) > 1:
                found.append(Conflict(tuple(files[i].path for i in group), labels, exact))
    return tuple(sorted(found))


def find_leaks(pictures: Sequence[Picture]) -> tuple[Leak, ...]:
    """Tell which pictures a side that must not know them would get, with the sides given.

    Of copies given to several sides, those of the weaker ones; and whatever was given to no side,
    but would tie one side to another by what it belongs to.
    """
    leaks = _leaks(pictures, [picture.cluster for picture in pictures], free=False)
    gone = {leak.path for leak in leaks}
    left = [picture for picture in pictures if picture.listed.path not in gone]
    return tuple(sorted((*leaks, *_leaks(left, units_of(left), free=True))))


def units_of(pictures: Sequence[Picture]) -> list[int]:
    """Return, for each picture, the number of all that must stay with it on one side."""
    units = Clusters(len(pictures))
    units.join_equal(picture.cluster for picture in pictures)
    units.join_equal(picture.listed.group for picture in pictures)
    return units.roots()


def _leaks(pictures: Sequence[Picture], units: Sequence[int], *, free: bool) -> list[Leak]:
    """free: whether to leave out what was given to no side; otherwise what was, to a weaker one."""
    leaks = []
    for unit in _by_key(units):
        files = [pictures[index].listed for index in unit]
        given = [file.split for file in files if file.split is not None]
        if len(set(given)) < 2:
            continue
        winner = strongest(given)
        kept = next(file.path for file in files if file.split is winner)
        for file in files:
            if file.split is not winner and (file.split is None) is free:
                leaks.append(Leak(file.path, file.split, kept, winner))
    return leaks


def _by_key(keys: Iterable[object]) -> list[list[int]]:
    groups: dict[object, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        groups[key].append(index)
    return list(groups.values())
