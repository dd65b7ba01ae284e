"""How far a training is, in words and figures."""

from __future__ import annotations

from collections.abc import Mapping

from imgq_cli.formats import clock_time, number
from imgq_cli.shapes import Epoch, Job, train_progress

#: What a training does in each stage.
STAGES: Mapping[str, str] = {
    "scan": "Scanning",
    "probe": "Probing",
    "finetune": "Fine-tuning",
    "scratch": "From scratch",
    "refit": "Refitting",
    "calibrate": "Calibrating",
    "evaluate": "Evaluating",
    "report": "Reporting",
}
WIDEST_STAGE = max(map(len, STAGES.values()))


def stage_word(stage: str | None) -> str:
    """Return what a training does in a stage; None: its process is being started."""
    return "Starting" if stage is None else STAGES.get(stage, stage.capitalize())


def train_figures(job: Job) -> str:
    """Return the numbers of the progress line: `epoch 3/8 · loss 0.412 · macro-F1 0.873 · …`."""
    progress = train_progress(job)
    parts = []
    if progress["epoch"] is not None and progress["epochs"] is not None:
        parts += _run(progress["run"], progress["runs"])
        parts.append(f"epoch {number(progress['epoch'])}/{number(progress['epochs'])}")
        parts += _losses(progress["train_loss"], progress["macro_f1"])
    if progress["done"] is not None:
        parts.append(_of(progress["done"], progress["total"]))
    elif progress["stage"] in (None, "scan") and progress["images"] is not None:
        parts.append(f"{number(progress['images'])} images")
    if progress["eta_seconds"] is not None and job["state"] == "running":
        parts.append(f"ETA {clock_time(progress['eta_seconds'])}")
    return " · ".join(parts)


def epoch_line(epoch: Epoch) -> str:
    """Return one epoch as a line that stays: losses, macro-F1 on validation, speed."""
    width = len(str(epoch["epochs"]))
    cells = [
        f"{stage_word(epoch['stage']):{WIDEST_STAGE}}",
        *_run(epoch["run"], epoch["runs"]),
        f"epoch {epoch['epoch']:{width}}/{epoch['epochs']}",
        _cell("loss", epoch["train_loss"]),
        _cell("validation loss", epoch["val_loss"]),
        _cell("macro-F1", epoch["macro_f1"]),
    ]
    if epoch["images_per_second"]:
        cells.append(f"{number(epoch['images_per_second'])} img/s")
    return "  ".join(cell for cell in cells if cell)


def _run(run: int | None, runs: int | None) -> list[str]:
    """Return which run it is, unless it is the only one."""
    return [f"run {run}/{runs}"] if run is not None and runs is not None and runs > 1 else []


def _of(done: int, total: int | None) -> str:
    return f"{number(done)}/{number(total)} images" if total else f"{number(done)} images"


def _losses(train_loss: float | None, macro_f1: float | None) -> list[str]:
    return list(filter(None, (_cell("loss", train_loss), _cell("macro-F1", macro_f1))))


def _cell(name: str, value: float | None) -> str:
    return "" if value is None else f"{name} {value:.3f}"
