"""Whether a dataset's files are still what was scanned."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import ExitStack
from pathlib import Path

from imgq_trainer.crew import Crew
from imgq_trainer.datasets.errors import DatasetChanged
from imgq_trainer.datasets.values import Dataset, Example
from imgq_trainer.errors import Stopped
from imgq_trainer.outcomes import Rejection
from imgq_trainer.pipeline import STOP_CHECK_SECONDS, never
from imgq_trainer.reading import Root, find, open_root, read

#: how many files a thread takes at once
RUN = 16


def verify_dataset(
    root: Path,
    dataset: Dataset,
    *,
    crew: Crew | None = None,
    stop: Callable[[], bool] = never,
) -> None:
    """Read every file of a dataset again, and compare its digest.

    crew: the threads, None for some of the call's own. Raises DatasetChanged, which names all that
    changed or are gone, RootUnavailable, Stopped.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(open_root(root))
        crew = crew or stack.enter_context(Crew())
        changed = tuple(_changed(folder, dataset.examples, crew, stop))
    if changed:
        raise DatasetChanged(changed)


def read_example(root: Root, example: Example) -> bytes:
    """Return a picture's file, checked against its digest. Raises DatasetChanged."""
    content = _read(root, example)
    if content is None:
        raise DatasetChanged([example.path])
    return content


def _changed(
    root: Root, examples: Sequence[Example], crew: Crew, stop: Callable[[], bool]
) -> Iterator[bytes]:
    step = RUN * crew.runs_underway
    for at in range(0, len(examples), step):
        part = examples[at : at + step]
        looks = [crew.threads.submit(_differ, root, part[i : i + RUN]) for i in range(0, step, RUN)]
        try:
            while wait(looks, timeout=STOP_CHECK_SECONDS).not_done:
                if stop():
                    raise Stopped
        finally:
            wait([look for look in looks if not look.cancel()])
        if stop():
            raise Stopped
        for look in looks:
            yield from look.result()


def _differ(root: Root, examples: Sequence[Example]) -> list[bytes]:
    return [example.path for example in examples if _read(root, example) is None]


def _read(root: Root, example: Example) -> bytes | None:
    found = find(root, example.path, max_file_bytes=sys.maxsize)
    if isinstance(found, Rejection):
        return None
    with found:
        content = read(found)
    if isinstance(content, Rejection) or content.digest != example.digest:
        return None
    return content.data
