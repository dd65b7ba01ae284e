"""A labelled folder into a dataset: listed, scanned once, cleared of leaks, and split."""

from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path

from imgq_trainer.crew import Crew
from imgq_trainer.datasets.duplicates import (
    Likeness,
    Picture,
    find_conflicts,
    find_leaks,
    find_likeness,
    units_of,
)
from imgq_trainer.datasets.errors import (
    GroupStraddles,
    LabelsUnknown,
    NothingReadable,
    PicturesTooSmall,
    TooFewClasses,
    TooFewPictures,
)
from imgq_trainer.datasets.findings import Found, find
from imgq_trainer.datasets.gathering import (
    LEAST_SIDE,
    Gathered,
    Progress,
    Source,
    Stop,
    gather,
    list_source,
)
from imgq_trainer.datasets.listing import Listing, to_label
from imgq_trainer.datasets.snapshots import dataset_of
from imgq_trainer.datasets.splitting import (
    Fractions,
    Member,
    Sides,
    check_fractions,
    split_members,
)
from imgq_trainer.datasets.values import Conflict, Dataset, Example, Split
from imgq_trainer.file_pixels import ReadLimits

FRACTIONS = (0.70, 0.15, 0.15)
#: fewer pictures of a class cannot be both learned and checked
LEAST_PICTURES = 2
LEAST_CLASSES = 2


def make_dataset(
    root: Path,
    *,
    manifest: Path | None,
    fractions: tuple[float, float, float] = FRACTIONS,
    group_by: str | None,
    limits: ReadLimits,
    crew: Crew,
    stop: Stop,
    progress: Progress,
) -> Dataset:
    """Make the dataset to train on from a labelled folder; docs/datasets.md tells the rules.

    fractions: of training, validation and test, for what the source gives to no split. group_by:
    the manifest's column, or without a manifest an expression on paths, that tells what stays
    together. stop is asked in the calling thread, several times a second.
    Raises DatasetError, RootUnavailable, Stopped.
    """
    shares = check_fractions(fractions)
    source = Source(root, manifest, group_by)
    listing = _list(source, stop, progress)
    if len(listing.labels) < LEAST_CLASSES:
        raise TooFewClasses(listing.labels)
    gathered = gather(source, listing, limits=limits, crew=crew, stop=stop, progress=progress)
    if gathered.tiny > len(gathered.files) / 2:
        raise PicturesTooSmall(gathered.tiny, len(gathered.files), LEAST_SIDE)
    likeness = _likeness(gathered, stop, progress)
    pictures, conflicts = _without_conflicts(gathered, likeness)
    labels = _labels(listing, gathered)
    _check_counts(root, labels, listing, pictures)
    leaks = find_leaks(pictures)
    pictures = _without(pictures, {leak.path for leak in leaks})
    sides = _split(pictures, labels, shares)
    found = Found(listing, gathered, likeness, conflicts, leaks)
    return _finish(labels, pictures, sides, found)


def make_evaluation_set(
    source: Source,
    labels: Sequence[str],
    *,
    limits: ReadLimits,
    crew: Crew,
    stop: Stop,
    progress: Progress,
) -> Dataset:
    """Make a dataset that is all test split, to judge a model with these labels, in their order.

    Where the source gives a test split, that alone is taken. A label of the model may be without
    pictures. Raises DatasetError, RootUnavailable, Stopped.
    """
    listing = _only_test(_list(source, stop, progress))
    known = {to_label(label) for label in labels}
    gathered = gather(source, listing, limits=limits, crew=crew, stop=stop, progress=progress)
    unknown = [label for label in _labels(listing, gathered) if label not in known]
    if unknown:
        raise LabelsUnknown(unknown)
    likeness = _likeness(gathered, stop, progress)
    pictures, conflicts = _without_conflicts(gathered, likeness)
    if not pictures:
        raise NothingReadable(source.root, len(listing.files))
    sides = Sides((Split.TEST,) * len(pictures), {}, ())
    found = Found(listing, gathered, likeness, conflicts, ())
    return _finish(tuple(labels), pictures, sides, found)


def _list(source: Source, stop: Stop, progress: Progress) -> Listing:
    progress(0, None)
    listing = list_source(source, stop)
    if not listing.files:
        raise NothingReadable(source.root, 0)
    splits: dict[str, set[Split]] = defaultdict(set)
    for file in listing.files:
        if file.group is not None and file.split is not None:
            splits[file.group].add(file.split)
    for group, given in sorted(splits.items()):
        if len(given) > 1:
            raise GroupStraddles(group, sorted(given))
    return listing


def _only_test(listing: Listing) -> Listing:
    files = tuple(file for file in listing.files if file.split is Split.TEST)
    if not files:
        return listing
    note = f"Only the test split was taken: {len(files)} of {len(listing.files)} files."
    labels = tuple(sorted({file.label for file in files}))
    return replace(listing, files=files, labels=labels, notes=(*listing.notes, note))


def _likeness(gathered: Gathered, stop: Stop, progress: Progress) -> Likeness:
    count = len(gathered.files)

    def stop_after_a_part() -> bool:
        progress(count, count)
        return stop()

    return find_likeness(gathered, stop_after_a_part)


def _without_conflicts(
    gathered: Gathered, likeness: Likeness
) -> tuple[list[Picture], tuple[Conflict, ...]]:
    """Leave out what has one content and several labels: nobody can know which is right."""
    conflicts = find_conflicts(gathered.files, likeness)
    pictures = list(map(Picture, gathered.files, gathered.digests, likeness.clusters))
    gone = {path for conflict in conflicts if conflict.exact for path in conflict.paths}
    return _without(pictures, gone), conflicts


def _without(pictures: Sequence[Picture], gone: Set[bytes]) -> list[Picture]:
    return [picture for picture in pictures if picture.listed.path not in gone]


def _labels(listing: Listing, gathered: Gathered) -> tuple[str, ...]:
    """Return the labels, but for those of folders in which nothing even claims to be a picture."""
    ignored = {path for path, _ in gathered.ignored}
    claimed = {file.label for file in listing.files if file.path not in ignored}
    return tuple(label for label in listing.labels if label in claimed)


def _check_counts(
    root: Path, labels: Sequence[str], listing: Listing, pictures: Sequence[Picture]
) -> None:
    if not pictures:
        raise NothingReadable(root, len(listing.files))
    if len(labels) < LEAST_CLASSES:
        raise TooFewClasses(labels)
    counts = Counter(picture.listed.label for picture in pictures)
    for label in labels:
        if counts[label] < LEAST_PICTURES:
            raise TooFewPictures(label, counts[label])


def _split(pictures: Sequence[Picture], labels: Sequence[str], shares: Fractions) -> Sides:
    number = {label: index for index, label in enumerate(labels)}
    members = [
        Member(number[listed.label], listed.split, unit, _key(listed.group, digest))
        for (listed, digest, _), unit in zip(pictures, units_of(pictures), strict=True)
    ]
    sides = split_members(members, shares)
    learned = {m.label for m, side in zip(members, sides.splits, strict=True) if side == "train"}
    for label in labels:
        if number[label] not in learned:
            raise TooFewPictures(label, 0, " in the training split")
    return sides


def _key(group: str | None, digest: bytes) -> bytes:
    """Return what a picture's side depends on: its group's name, or without one its content."""
    return digest if group is None else b"group " + group.encode()


def _finish(
    labels: tuple[str, ...], pictures: Sequence[Picture], sides: Sides, found: Found
) -> Dataset:
    number = {to_label(label): index for index, label in enumerate(labels)}
    clusters: dict[int, int] = {}
    examples = tuple(
        Example(
            listed.path,
            number[listed.label],
            side,
            digest,
            listed.group,
            clusters.setdefault(cluster, len(clusters)),
        )
        for (listed, digest, cluster), side in zip(pictures, sides.splits, strict=True)
    )
    findings = find(labels, examples, sides, found)
    return dataset_of(labels, examples, findings)
