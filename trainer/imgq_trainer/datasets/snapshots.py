"""A dataset on disk: one canonical JSONL file of what is learned, one of what was found."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

import pydantic
from pydantic import Field
from pydantic.dataclasses import dataclass as validated

from imgq_trainer.datasets.errors import DatasetInvalid
from imgq_trainer.datasets.paths import FilePath, path_to_text
from imgq_trainer.datasets.values import Dataset, Example, Findings, Split

FORMAT: Final = "imgq-dataset/1"
DATASET_FILE = "dataset.jsonl"
FINDINGS_FILE = "findings.json"

_STRICT = pydantic.ConfigDict(strict=True, extra="forbid")


@validated(frozen=True, slots=True, config=_STRICT)
class _Head:
    """The first line of a dataset's file."""

    format: Literal["imgq-dataset/1"]
    labels: tuple[str, ...]


@validated(frozen=True, slots=True, config=_STRICT)
class _Line:
    """One of the others: an example, with its label by name."""

    path: FilePath
    label: str
    split: Annotated[Split, Field(strict=False)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    group: str | None
    cluster: Annotated[int, Field(ge=0)]


def dataset_of(
    labels: tuple[str, ...], examples: tuple[Example, ...], findings: Findings
) -> Dataset:
    """Return the dataset of these examples, which are sorted by path, with its digest."""
    lines = hashlib.sha256()
    for line in _lines(labels, examples):
        lines.update(line)
    return Dataset(labels, examples, findings, lines.hexdigest())


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Write a dataset's files; until the last of them is there, no dataset is."""
    folder.mkdir(parents=True, exist_ok=True)
    findings = json.dumps(_plain(dataset.findings), ensure_ascii=False, indent=1) + "\n"
    _write(folder / FINDINGS_FILE, [findings.encode()])
    _write(folder / DATASET_FILE, _lines(dataset.labels, dataset.examples))
    _sync_folder(folder)


def read_dataset(folder: Path) -> Dataset:
    """Read a dataset back, as it was written. Raises DatasetInvalid."""
    try:
        with (folder / DATASET_FILE).open("rb") as file:
            head = pydantic.TypeAdapter(_Head).validate_json(file.readline())
            number = {label: index for index, label in enumerate(head.labels)}
            parse = pydantic.TypeAdapter(_Line).validate_json
            examples = tuple(_example(parse(line), number) for line in file)
        findings = pydantic.TypeAdapter(Findings).validate_json(
            (folder / FINDINGS_FILE).read_bytes()
        )
    except OSError as error:
        raise DatasetInvalid(folder, f"{error.strerror}") from error
    except pydantic.ValidationError as error:
        raise DatasetInvalid(folder, error.errors(include_url=False)[0]["msg"]) from error
    except KeyError as error:
        raise DatasetInvalid(folder, f"the label {error} is not among its labels") from error
    return dataset_of(head.labels, examples, findings)


def _lines(labels: Sequence[str], examples: Sequence[Example]) -> Iterator[bytes]:
    yield _line({"format": FORMAT, "labels": labels})
    for example in examples:
        yield _line(
            {
                "path": path_to_text(example.path),
                "label": labels[example.label],
                "split": example.split,
                "sha256": example.digest.hex(),
                "group": example.group,
                "cluster": example.cluster,
            }
        )


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _example(line: _Line, number: dict[str, int]) -> Example:
    digest = bytes.fromhex(line.sha256)
    return Example(line.path, number[line.label], line.split, digest, line.group, line.cluster)


def _plain(value: Any) -> Any:
    """Return findings as JSON has them: paths as text, named tuples as objects."""
    if isinstance(value, bytes):
        return path_to_text(value)
    if isinstance(value, Findings):
        return {name: _plain(getattr(value, name)) for name in Findings.__slots__}
    if hasattr(value, "_asdict"):
        return {name: _plain(each) for name, each in value._asdict().items()}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _write(path: Path, parts: Iterator[bytes] | Sequence[bytes]) -> None:
    fresh = path.with_name(f".{path.name}.{uuid4().hex}.new")
    try:
        with fresh.open("xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    finally:
        fresh.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
