"""A source's files, listed and scanned: the pictures among them, and why the others are none."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgq_trainer.crew import Crew
from imgq_trainer.datasets.fingerprints import LENGTH
from imgq_trainer.datasets.folders import list_folders
from imgq_trainer.datasets.likeness import Looks
from imgq_trainer.datasets.listing import Listed, Listing, grouping_by
from imgq_trainer.datasets.manifests import list_manifest
from imgq_trainer.datasets.scanning import scan_files
from imgq_trainer.datasets.values import Fault, Ignored
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.outcomes import Rejection, Status

#: the shorter side of a picture that shows something, in pixels
LEAST_SIDE = 4
#: called with how many files are done, and of how many; None while they are listed
Progress = Callable[[int, int | None], None]
Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Source:
    """Where labelled pictures are. group_by: a manifest's column, or an expression on paths."""

    root: Path
    manifest: Path | None
    group_by: str | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """The pictures of a source, sorted by path: files[i] has digests[i] and looks i."""

    files: tuple[Listed, ...]
    digests: tuple[bytes, ...]
    looks: Looks
    corrupt: tuple[Fault, ...]
    ignored: tuple[Ignored, ...]

    @property
    def tiny(self) -> int:
        """How many of the pictures are too small to show anything."""
        return int((self.looks.sizes.min(axis=1, initial=LEAST_SIDE) < LEAST_SIDE).sum())


def list_source(source: Source, stop: Stop) -> Listing:
    """List a source's files without reading any."""
    if source.manifest is None:
        group_of = grouping_by(source.group_by)
        return list_folders(source.root, group_of=group_of, stop=stop)
    return list_manifest(source.root, source.manifest, group_by=source.group_by, stop=stop)


def gather(
    source: Source,
    listing: Listing,
    *,
    limits: ReadLimits,
    crew: Crew,
    stop: Stop,
    progress: Progress,
) -> Gathered:
    """Read every listed file once. A file that a manifest names and that is no picture is corrupt.

    Raises Stopped, RootUnavailable.
    """
    listed = listing.files
    pixels = np.empty((len(listed), LENGTH), np.uint8)
    sizes = np.empty((len(listed), 2), np.int32)
    files: list[Listed] = []
    digests: list[bytes] = []
    corrupt: list[Fault] = []
    ignored = list(listing.ignored)
    names = [file.path for file in listed]
    outcomes = scan_files(source.root, names, limits=limits, crew=crew, stop=stop)
    for done, (file, outcome) in enumerate(zip(listed, outcomes, strict=True), 1):
        if not isinstance(outcome, Rejection):
            pixels[len(files)] = outcome.fingerprint.pixels
            sizes[len(files)] = outcome.fingerprint.width, outcome.fingerprint.height
            files.append(file)
            digests.append(outcome.digest)
        elif outcome.status is Status.FAILED or source.manifest is not None:
            corrupt.append(Fault(file.path, outcome.code, outcome.detail))
        else:
            ignored.append(Ignored(file.path, outcome.detail))
        progress(done, len(listed))
    looks = Looks(pixels[: len(files)], sizes[: len(files)])
    return Gathered(tuple(files), tuple(digests), looks, tuple(corrupt), tuple(sorted(ignored)))
