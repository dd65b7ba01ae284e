from collections.abc import Callable

from imgq_trainer.reporting.tables import (
    Table,
    confused_pairs,
    finding_tables,
    matrix,
    pairs_of,
    split_table,
)
from imgq_trainer.reporting.values import ReportData

Make = Callable[..., ReportData]


def test_a_matrix_holds_every_picture_once_and_shares_of_its_row(make_report: Make) -> None:
    evaluation = make_report(("cat", "dog", "owl")).evaluation
    found = matrix(evaluation)

    assert found is not None and found.with_shares
    assert sum(int(cell.count) for row in found.rows for cell in row) == evaluation.pictures
    assert all(abs(sum(cell.weight for cell in row) - 1) < 0.01 for row in found.rows)
    assert [row[i].right for i, row in enumerate(found.rows)] == [True, True, True]


def test_the_most_confused_pairs_come_first_and_are_no_hits(make_report: Make) -> None:
    labels = tuple(f"kind {number}" for number in range(60))
    found = confused_pairs(make_report(labels).evaluation)

    assert all(truth != predicted for truth, predicted, *_ in found.rows)
    counts = [int(row[2]) for row in found.rows]
    assert counts == sorted(counts, reverse=True) and len(counts) <= 30


def test_findings_become_tables_and_empty_ones_none() -> None:
    findings = {
        "corrupt": [{"path": "a.jpg", "code": "truncated", "detail": "ends early"}],
        "duplicates": [["a.jpg", "b.jpg"]] * 201,
        "near_duplicates": [],
        "unknown": 3,
    }
    corrupt, duplicates = finding_tables(findings)  # type: ignore[arg-type]

    assert corrupt == Table(
        "Files that could not be read, left out (1)",
        ("path", "code", "detail"),
        (("a.jpg", "truncated", "ends early"),),
    )
    assert (duplicates.rows[0], len(duplicates.rows), duplicates.hidden) == (
        ("a.jpg, b.jpg",),
        200,
        1,
    )


def test_the_sides_of_the_split_are_shown_where_they_are_known() -> None:
    counts = [{"train": 7, "val": 2, "test": 1}]

    assert split_table({"counts": counts}, ["cat"]) == Table(  # type: ignore[dict-item]
        "Pictures", ("class", "training", "validation", "test"), (("cat", "7", "2", "1"),)
    )
    assert split_table({}, ["cat"]) is None


def test_nested_settings_become_lines() -> None:
    settings = {"preset": "fast", "optimiser": {"betas": [0.9, 0.999]}, "ema": True, "mixup": None}

    assert dict(pairs_of(settings)) == {  # type: ignore[arg-type]
        "preset": "fast",
        "optimiser.betas": "0.9, 0.999",
        "ema": "yes",
        "mixup": "–",
    }
