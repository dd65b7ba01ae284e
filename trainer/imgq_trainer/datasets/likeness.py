"""Pairs of pictures that look the same, among many: found by keys, then looked at.

A key is made of the signs of a picture's lowest frequencies. A copy that was scaled, brightened or
encoded anew has the same signs but for the weakest, so each picture is looked up under its own key
and under those with its weakest signs turned round. What meets there is compared by fingerprint.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from imgq_trainer.datasets.fingerprints import COLOUR, GREY, Bytes
from imgq_trainer.errors import Stopped

#: How alike the fingerprints of one picture are at least, 1 for equal. Measured on small grey
#: pictures of 28 x 28, the hardest: of copies encoded anew as JPEG of quality 75, 99 in 100 are
#: above the first, and of copies of 90 % of the size all are above the second, which between
#: pictures of one size would take different trousers for the same ones.
SAME_SIZE_LIKENESS = 0.994
OTHER_SIZE_LIKENESS = 0.985
#: by how many grey levels, and by which factor of contrast, a copy may differ
MOST_BRIGHTER = 24.0
MOST_CONTRAST = 1.25
#: a picture with less contrast than this, in grey levels, shows nothing that could be compared
LEAST_CONTRAST = 2.0
#: signs in a key, and how many of the weakest are tried both ways
SIGNS: Final = 24
WEAK: Final = 6
#: under one key, with how many others a picture's lowest frequencies are compared: the nearest
MOST_COMPARED = 64
#: With about how many others, alike by their lowest frequencies, the whole fingerprint is compared.
#: It bounds the work where all pictures are of one scene; 70,000 pieces of clothing need 5 each.
MOST_LOOKED_AT = 128
#: how many pairs are compared at once
PAIRS = 1 << 14
#: how far one frequency of two fingerprints can be apart if they are alike enough
_REACH = float(np.sqrt(2 * (1 - OTHER_SIZE_LIKENESS)))
_STEPS = 1 << 30

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Looks:
    """Fingerprints of n pictures. pixels: (n, LENGTH); sizes: width and height, (n, 2)."""

    pixels: Bytes
    sizes: npt.NDArray[np.int32]


def like_pairs(looks: Looks, stop: Callable[[], bool]) -> Iterator[tuple[Indices, Indices]]:
    """Yield pictures that look the same, pair by pair, a few at a time; a pair may come twice.

    Pictures that show nothing are like no other. Raises Stopped.
    """
    waves = _frequencies(looks, stop)
    looked = np.zeros(len(waves), np.int32)
    for one, other in _candidates(waves, stop):
        for at in range(0, len(one), PAIRS):
            if stop():
                raise Stopped
            first, second = one[at : at + PAIRS], other[at : at + PAIRS]
            least = _least_likeness(looks, first, second)
            # Vectors of length 1 are sqrt(2 - 2 * likeness) apart, and no part of them further.
            near = np.square(waves[first] - waves[second]).sum(1) <= 2 - 2 * least
            near &= looked[first] < MOST_LOOKED_AT
            first, second = first[near], second[near]
            np.add.at(looked, first, 1)
            alike = _alike(looks, first, second)
            yield first[alike], second[alike]


def _vectors(pixels: Bytes) -> Floats:
    """Fingerprints without brightness: (n, LENGTH); colours without the grey that is in them."""
    grey = pixels[:, : GREY * GREY].astype(np.float32)
    grey -= grey.mean(1, keepdims=True)
    colour = pixels[:, GREY * GREY :].reshape(-1, COLOUR * COLOUR, 3).astype(np.float32)
    colour -= colour.mean(2, keepdims=True)
    return np.concatenate([grey, colour.reshape(len(pixels), COLOUR * COLOUR * 3)], 1)


def _least_likeness(looks: Looks, first: Indices, second: Indices) -> Floats:
    same_size = (looks.sizes[first] == looks.sizes[second]).all(1)
    return np.where(same_size, np.float32(SAME_SIZE_LIKENESS), np.float32(OTHER_SIZE_LIKENESS))


def _alike(looks: Looks, first: Indices, second: Indices) -> npt.NDArray[np.bool_]:
    one, other = _vectors(looks.pixels[first]), _vectors(looks.pixels[second])
    ones, others = np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1)
    likeness = np.einsum("ij,ij->i", one, other) / np.maximum(ones * others, 1e-6)
    size, other_size = looks.sizes[first], looks.sizes[second]
    means = [looks.pixels[each, : GREY * GREY].mean(1) for each in (first, second)]
    contrast = np.maximum(ones, others) / np.maximum(np.minimum(ones, others), 1e-6)
    return np.asarray(
        (likeness >= _least_likeness(looks, first, second))
        & (np.abs(means[0] - means[1]) <= MOST_BRIGHTER)
        & (contrast <= MOST_CONTRAST)
        & _same_shape(size, other_size)
    )


def _same_shape(
    size: npt.NDArray[np.int32], other_size: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    """Tell whether sides have one proportion, as far as whole pixels can tell."""
    bend = np.abs(np.log(size[:, 0] / size[:, 1]) - np.log(other_size[:, 0] / other_size[:, 1]))
    return np.asarray(bend <= 0.01 + 1 / size.min(1) + 1 / other_size.min(1))


def _frequencies(looks: Looks, stop: Callable[[], bool]) -> Floats:
    """The lowest frequencies of each picture, lowest first, without the mean: (n, SIGNS).

    They are on the scale of a fingerprint of length 1, and nan where a picture shows nothing.
    """
    waves = np.empty((len(looks.pixels), SIGNS), np.float32)
    basis = _basis()
    for at in range(0, len(waves), PAIRS):
        if stop():
            raise Stopped
        vectors = _vectors(looks.pixels[at : at + PAIRS])
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        length[length < LEAST_CONTRAST * GREY] = np.nan
        waves[at : at + PAIRS] = vectors[:, : GREY * GREY] @ basis / length
    return waves


def _basis() -> Floats:
    """The first two-dimensional cosines after the constant one: (GREY * GREY, SIGNS)."""
    steps = np.arange(GREY)
    cosines = np.cos(np.pi * np.outer(steps, steps + 0.5) / GREY) * np.sqrt(2 / GREY)
    cosines[0] /= np.sqrt(2)
    lowest = sorted(
        itertools.product(range(SIGNS), repeat=2), key=lambda at: (at[0] ** 2 + at[1] ** 2, at)
    )
    waves = [np.outer(cosines[down], cosines[across]) for down, across in lowest[1 : SIGNS + 1]]
    return np.stack([wave.ravel() for wave in waves], 1).astype(np.float32)


def _candidates(waves: Floats, stop: Callable[[], bool]) -> Iterator[tuple[Indices, Indices]]:
    """Yield whoever shares a key, own or with weak signs turned, as pairs of indices."""
    shown = np.flatnonzero(np.isfinite(waves[:, 0]))
    signs = waves[shown] > 0
    powers = np.int64(1) << np.arange(SIGNS, dtype=np.int64)
    keys: Indices = signs @ powers
    weakest = np.argsort(np.abs(waves[shown]), axis=1)[:, :WEAK]
    strongest = waves[shown, 0]
    places = _places(keys, strongest)
    order = np.argsort(places)
    ordered = places[order]
    for turned in _subsets(range(WEAK)):
        flips = np.bitwise_or.reduce(powers[weakest[:, list(turned)]], axis=1, initial=0)
        asked = keys ^ flips
        for at in range(0, len(keys), PAIRS):
            if stop():
                raise Stopped
            block = slice(at, at + PAIRS)
            one, near = _meet(ordered, asked[block], strongest[block])
            one, other = one + at, order[near]
            # A pair under one and the same key is met from both sides.
            apart = one < other if not turned else one != other
            yield shown[one[apart]], shown[other[apart]]


def _places(keys: Indices, value: Floats) -> Indices:
    """Order by key, then by the lowest frequency."""
    return keys * (2 * _STEPS) + np.rint((np.clip(value, -1, 1) + 1) * (_STEPS - 1)).astype(
        np.int64
    )


def _meet(sorted_places: Indices, keys: Indices, value: Floats) -> tuple[Indices, Indices]:
    """Return who is asked about, and where in the order those lie that are near, as pairs."""
    low = np.searchsorted(sorted_places, _places(keys, value - _REACH), "left")
    high = np.searchsorted(sorted_places, _places(keys, value + _REACH), "right")
    middle = np.searchsorted(sorted_places, _places(keys, value), "left")
    low = np.maximum(low, np.minimum(middle, high) - MOST_COMPARED // 2)
    counts = np.minimum(high - low, MOST_COMPARED)
    asked = np.repeat(np.arange(len(keys)), counts)
    within = np.arange(len(asked)) - np.repeat(np.cumsum(counts) - counts, counts)
    return asked, np.repeat(low, counts) + within


def _subsets(numbers: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for size in range(len(numbers) + 1):
        yield from itertools.combinations(numbers, size)
