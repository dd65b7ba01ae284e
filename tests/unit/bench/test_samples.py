"""What the bench makes of its samples."""

from pathlib import Path

import pytest
from bench.report import END, START, write_between_marks
from bench.samples import PartFailed, Ratio, Record, Sample, ratio, read_record


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "results.json")


def sample(what: str, number: int, seconds: float) -> Sample:
    return Sample(what, number, 100, seconds, 1.0)


def test_a_ratio_is_the_median_of_the_rounds_that_have_both(record: Record) -> None:
    for number, (mine, theirs) in enumerate([(1, 2), (1, 3), (1, 10)], 1):
        record.samples += [sample("mine", number, mine), sample("theirs", number, theirs)]
    record.samples.append(sample("mine", 4, 1))

    assert ratio(record, "mine", "theirs") == Ratio(3, 2, 10, 3)


def test_there_is_no_ratio_without_a_round_that_has_both(record: Record) -> None:
    record.samples += [sample("mine", 1, 1), sample("theirs", 2, 1)]

    assert ratio(record, "mine", "theirs") is None


def test_a_part_that_fails_is_left_out_with_its_reason_and_not_tried_again(
    record: Record,
) -> None:
    def fail() -> Sample:
        raise PartFailed("no such module")

    record.measure("theirs", 1, fail)
    record.measure("theirs", 2, lambda: sample("theirs", 2, 1))

    assert (record.skipped, record.samples) == ({"theirs": "no such module"}, [])


def test_a_resumed_run_measures_only_what_is_missing(record: Record) -> None:
    record.measure("mine", 1, lambda: sample("mine", 1, 5))
    resumed = read_record(record.path)
    resumed.measure("mine", 1, lambda: sample("mine", 1, 7))
    resumed.measure("mine", 2, lambda: sample("mine", 2, 7))

    assert resumed.samples == [sample("mine", 1, 5), sample("mine", 2, 7)]


def test_the_figures_replace_the_last_ones_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{START}\nold\n{END}\nafter\n")

    write_between_marks(page, "new\n")

    assert page.read_text() == f"before\n{START}\n\nnew\n\n{END}\nafter\n"
