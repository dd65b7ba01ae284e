"""What a scan found, and the sentences that say it to people."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from imgq_trainer.datasets.duplicates import Likeness
from imgq_trainer.datasets.gathering import LEAST_SIDE, Gathered
from imgq_trainer.datasets.listing import Listing, to_label
from imgq_trainer.datasets.splitting import SIDES, Sides
from imgq_trainer.datasets.values import Conflict, Counts, Example, Findings, Leak, Move, Split

#: how many labels a sentence names
NAMED = 10
#: from how many times the smallest class's pictures the largest one is worth a word
UNEVEN = 3.0


@dataclass(frozen=True, slots=True)
class Found:
    """What was seen on the way from files to pictures."""

    listing: Listing
    gathered: Gathered
    likeness: Likeness
    conflicts: tuple[Conflict, ...]
    leaks: tuple[Leak, ...]


def find(
    labels: Sequence[str], examples: Sequence[Example], sides: Sides, found: Found
) -> Findings:
    """Return the findings. sides: of the examples, in their order."""
    counts = Counter((example.label, example.split) for example in examples)
    learned = any(example.split is not Split.TEST for example in examples)
    findings = Findings(
        counts=tuple(
            Counts(*(counts[label, split] for split in Split)) for label in range(len(labels))
        ),
        corrupt=found.gathered.corrupt,
        duplicates=_one_label(found, found.likeness.same),
        near_duplicates=_paths(found, found.likeness.alike),
        conflicts=found.conflicts,
        leaks=found.leaks,
        too_small=_too_small(labels, examples) if learned else (),
        moved=tuple(
            Move(labels[label], split, tuple(examples[i].path for i in indices))
            for (label, split), indices in sorted(sides.moved.items())
        ),
        ignored=found.gathered.ignored,
        notes=found.listing.notes,
    )
    sentences = (*_say(labels, findings, found), *_say_sides(labels, findings, sides))
    return replace(findings, notes=(*findings.notes, *sentences))


def _one_label(found: Found, groups: Sequence[Sequence[int]]) -> tuple[tuple[bytes, ...], ...]:
    files = found.gathered.files
    return _paths(found, [each for each in groups if len({files[i].label for i in each}) == 1])


def _paths(found: Found, groups: Sequence[Sequence[int]]) -> tuple[tuple[bytes, ...], ...]:
    return tuple(sorted(tuple(found.gathered.files[i].path for i in group) for group in groups))


def _too_small(labels: Sequence[str], examples: Sequence[Example]) -> tuple[str, ...]:
    clusters: dict[int, set[int]] = defaultdict(set)
    for example in examples:
        clusters[example.label].add(example.cluster)
    return tuple(name for label, name in enumerate(labels) if len(clusters[label]) < SIDES)


def _say(labels: Sequence[str], findings: Findings, found: Found) -> Iterator[str]:
    if findings.corrupt:
        yield f"{_were(len(findings.corrupt), 'file')} left out as unreadable."
    if findings.ignored:
        yield f"{_were(len(findings.ignored), 'entry', 'entries')} ignored."
    if tiny := found.gathered.tiny:
        yield f"{_were(tiny, 'picture')} found to be smaller than {LEAST_SIDE} pixels on a side."
    empty = sorted(set(found.listing.labels) - {to_label(label) for label in labels})
    if empty:
        yield f"There is no picture at all under {_names(empty)}: no class was made of it."
    copies = sum(len(group) - 1 for group in findings.duplicates)
    if copies:
        yield f"{_were(copies, 'picture')} found to be an exact copy of another of the same class."
    if findings.near_duplicates:
        yield (
            f"{sum(map(len, findings.near_duplicates))} pictures look like others, in"
            f" {len(findings.near_duplicates)} clusters; each cluster is on one side of the split."
        )
    exact = sum(len(conflict.paths) for conflict in findings.conflicts if conflict.exact)
    if exact:
        yield f"{exact} files have the same content under different labels: all were left out."
    near = sum(not conflict.exact for conflict in findings.conflicts)
    if near:
        yield f"{_were(near, 'cluster')} found to look alike under different labels, and kept."
    if findings.leaks:
        yield (
            f"{_were(len(findings.leaks), 'picture')} left out: a copy is on a side that judges"
            " what is learned."
        )


def _say_sides(labels: Sequence[str], findings: Findings, sides: Sides) -> Iterator[str]:
    for side in sides.carved:
        yield f"No {side} split was given: it was taken from the training pictures."
    for label, split, paths in findings.moved:
        yield f"{label!r} had no {split} picture: {_were(len(paths), 'picture')} moved there."
    if findings.too_small:
        yield f"Too few different pictures for three splits: {_names(findings.too_small)}."
    for split in (Split.VAL, Split.TEST):
        without = [
            label
            for label, counts in zip(labels, findings.counts, strict=True)
            if not getattr(counts, split)
        ]
        if without and len(without) < len(labels):
            of = f"{split} picture" if any(each.train for each in findings.counts) else "picture"
            yield f"There is no {of} of {_names(without)}."
    if findings.imbalance >= UNEVEN:
        yield f"The largest class has {findings.imbalance:.1f} times the pictures of the smallest."


def _were(count: int, noun: str, plural: str | None = None) -> str:
    return f"1 {noun} was" if count == 1 else f"{count} {plural or noun + 's'} were"


def _names(labels: Sequence[str]) -> str:
    named = ", ".join(map(repr, labels[:NAMED]))
    return f"{named} and {len(labels) - NAMED} more" if len(labels) > NAMED else named
