"""Figures as rows: in the order and the units that reports have."""

from imgq_cli.model_figures import metric_rows, preprocessing_rows


def test_figures_come_in_one_order_and_in_the_units_of_the_report() -> None:
    metrics = {
        "ece": 0.12639089772591805,
        "loss": 0.25,
        "macro_f1": 0.8902272727272728,
        "accuracy": 0.8888888888888888,
        "pictures": 45,
        "standing": "weak",
        "macro_f1_interval": [0.7709005124777183, 0.9722243589743589],
        "accuracy_interval": [0.7650090300423141, 0.9777777777777777],
    }
    assert list(metric_rows(metrics)) == [
        ("judged on", "45 pictures"),
        ("metric: accuracy", "88.9 % (95 %: 76.5 % to 97.8 %)"),
        ("metric: macro_f1", "0.890 (95 %: 0.771 to 0.972)"),
        ("metric: ece", "0.126"),
        ("metric: loss", "0.250"),
    ]


def test_figures_that_somebody_else_wrote_are_shown_as_they_are() -> None:
    metrics = {"top1": 91, "pictures": "many", "split": {"val": 0.123456}, "note": None}
    assert list(metric_rows(metrics)) == [
        ("metric: note", "null"),
        ("metric: pictures", "many"),
        ("metric: split", "val 0.1235"),
        ("metric: top1", "91"),
    ]


def test_preprocessing_is_told_in_the_order_of_its_steps() -> None:
    said = {"std": [0.5019607843137255] * 3, "crop": 224, "fit": "pad", "resize": 256}
    assert list(preprocessing_rows(said)) == [
        ("preprocessing: resize", "256"),
        ("preprocessing: crop", "224"),
        ("preprocessing: fit", "pad"),
        ("preprocessing: std", "0.502, 0.502, 0.502"),
    ]
