import io
from collections.abc import Callable
from xml.etree import ElementTree

from PIL import Image

from imgq_trainer.reporting.plots import draw_plots
from imgq_trainer.reporting.values import EpochRow, ReportData

Make = Callable[..., ReportData]


def test_every_plot_is_valid_xml_and_a_png_whatever_the_names(hostile: ReportData) -> None:
    plots = draw_plots(hostile.evaluation, hostile.epochs)

    assert [plot.name for plot in plots] == [
        "loss",
        "macro-f1",
        "confusion",
        "reliability",
        "precision-recall",
        "roc",
    ]
    for plot in plots:
        width = float(ElementTree.fromstring(plot.opaque_svg()).attrib["width"])
        with Image.open(io.BytesIO(plot.png())) as picture:
            assert abs(picture.width - 2 * width) <= 2
            assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_without_epochs_there_are_no_learning_curves(make_report: Make) -> None:
    nothing = (EpochRow("probe", 1, None, None, None),)
    evaluation = make_report().evaluation

    for epochs in ((), nothing):
        names = [plot.name for plot in draw_plots(evaluation, epochs)]
        assert names == ["confusion", "reliability", "precision-recall", "roc"]


def test_of_many_classes_the_five_hardest_have_curves(make_report: Make) -> None:
    evaluation = make_report(tuple(f"kind {number}" for number in range(60))).evaluation
    plots = {plot.name: plot for plot in draw_plots(evaluation, ())}
    hardest = min(evaluation.classes, key=lambda one: one.average_precision or 0)

    assert "confusion" not in plots
    assert plots["roc"].title == "ROC, the 5 hardest classes"
    assert f"{hardest.label} (AP" in plots["precision-recall"].svg


def test_names_that_begin_alike_stay_apart(make_report: Make) -> None:
    start = "a name that is far too long for any axis, "
    plots = draw_plots(make_report((f"{start}one", f"{start}two")).evaluation, ())

    assert "#2 (AP" in next(plot.svg for plot in plots if plot.name == "precision-recall")


def test_runs_with_seeds_of_their_own_have_curves_of_their_own(make_report: Make) -> None:
    runs = [("finetune", 1, False), ("finetune", 2, True), ("scratch", 1, False)]
    epochs = tuple(
        EpochRow(stage, epoch, 0.5, 0.6, 0.9, run=run, chosen=chosen)
        for stage, run, chosen in runs
        for epoch in (1, 2)
    )
    plots = {plot.name: plot for plot in draw_plots(make_report().evaluation, epochs)}

    marks = ("finetune 1, not chosen", "finetune 2, chosen", "scratch, not chosen")
    assert all(mark in plots["macro-f1"].svg for mark in marks)
    assert "finetune 1, not chosen, validation" in plots["loss"].svg
    assert plots["loss"].alt == "Training and validation loss over 2 epochs."


def test_what_was_tried_beside_a_probe_has_curves_too(make_report: Make) -> None:
    epochs = tuple(EpochRow("finetune", n, 2.0, 3.0, 0.4, chosen=False) for n in (1, 2))
    plots = {plot.name: plot for plot in draw_plots(make_report().evaluation, epochs)}

    assert "finetune, not chosen, training" in plots["loss"].svg
    assert "finetune, not chosen" in plots["macro-f1"].svg


def test_one_run_alone_needs_no_mark(make_report: Make) -> None:
    epochs = (EpochRow("scratch", 1, 2.0, 3.0, 0.4), EpochRow("refit", 1, 1.0))
    plots = {plot.name: plot for plot in draw_plots(make_report().evaluation, epochs)}

    assert not any("chosen" in plot.svg for plot in plots.values())
