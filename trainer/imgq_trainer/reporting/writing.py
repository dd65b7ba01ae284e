"""A report's folder: all of its files or none."""

import json
import os
import shutil
from pathlib import Path
from typing import Final
from uuid import uuid4

from imgq_trainer.reporting.page import render
from imgq_trainer.reporting.plots import draw_plots
from imgq_trainer.reporting.values import ReportData

PAGE_FILE: Final = "report.html"
JSON_FILE: Final = "report.json"
PLOTS_FOLDER: Final = "plots"


def write_report(folder: Path, report: ReportData) -> None:
    """Write report.html, report.json and plots/*.svg and *.png; a report there is replaced.

    Raises ValueError if a setting or finding is not finite, or a thumbnail no PNG or JPEG.
    """
    content = _files(report)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}.{uuid4().hex}.new")
    (fresh / PLOTS_FOLDER).mkdir(parents=True)
    try:
        for name, data in content.items():
            _write(fresh / name, data)
        _sync_folder(fresh / PLOTS_FOLDER)
        _sync_folder(fresh)
        _move_into_place(fresh, folder)
        _sync_folder(folder.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _files(report: ReportData) -> dict[str, bytes]:
    plots = draw_plots(report.evaluation, report.epochs)
    content = {
        PAGE_FILE: render(report, plots).encode(),
        JSON_FILE: json.dumps(report.to_json(), allow_nan=False).encode() + b"\n",
    }
    for plot in plots:
        content[f"{PLOTS_FOLDER}/{plot.name}.svg"] = plot.opaque_svg().encode()
        content[f"{PLOTS_FOLDER}/{plot.name}.png"] = plot.png()
    return content


def _move_into_place(fresh: Path, folder: Path) -> None:
    aside = folder.with_name(f".{folder.name}.{uuid4().hex}.old")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        fresh.rename(folder)
        return
    fresh.rename(folder)
    shutil.rmtree(aside)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
