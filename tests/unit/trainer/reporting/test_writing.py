import json
from collections.abc import Callable
from pathlib import Path

import pytest

from imgq_trainer.evaluating.errors import ReportInvalid
from imgq_trainer.reporting.values import EpochRow, ReportData
from imgq_trainer.reporting.writing import write_report

Make = Callable[..., ReportData]
PLOTS = ("confusion", "precision-recall", "reliability", "roc")


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_report_has_a_page_json_and_every_plot_twice(make_report: Make, tmp_path: Path) -> None:
    write_report(tmp_path / "new" / "report", make_report())

    plots = [f"plots/{name}.{kind}" for name in PLOTS for kind in ("png", "svg")]
    assert names(tmp_path / "new") == [
        f"report/{name}" for name in (*plots, "report.html", "report.json")
    ]


def test_the_json_holds_the_report_but_for_its_pictures(make_report: Make, tmp_path: Path) -> None:
    report = make_report(
        epochs=(EpochRow("probe", 1, 0.5, None, 0.9),), settings={"seed": 0}, notes=("A note.",)
    )
    write_report(tmp_path / "report", report)
    stored = json.loads((tmp_path / "report" / "report.json").read_text())

    assert ReportData.from_json(stored) == report
    with pytest.raises(ReportInvalid):
        ReportData.from_json({**stored, "format": "imgq-report/0"})


def test_a_second_report_replaces_the_first_whole(make_report: Make, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    write_report(folder, make_report(epochs=(EpochRow("probe", 1, 0.5, 0.6, 0.9),)))
    write_report(folder, make_report())

    assert not (folder / "plots" / "loss.svg").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_report_that_cannot_be_written_leaves_what_was_there(
    make_report: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "report"
    write_report(folder, make_report())
    before = names(folder)

    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(folder, make_report(settings={"rate": float("nan")}))
    assert names(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
