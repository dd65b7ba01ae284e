"""Whole trainings of a few seconds, in this process and in one of their own."""

import contextlib
import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgq_trainer.artifacts import Artifact, load_artifact
from imgq_trainer.classifier import load_classifier
from imgq_trainer.datasets.errors import DatasetChanged
from imgq_trainer.datasets.snapshots import read_dataset
from imgq_trainer.datasets.values import Split
from imgq_trainer.engines import choose_engine, precisions
from imgq_trainer.errors import Stopped
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.outcomes import Prediction
from imgq_trainer.pipeline import classify_files
from imgq_trainer.training.assessing import run_evaluation
from imgq_trainer.training.errors import BackboneUnsuited, DiskTooSmall
from imgq_trainer.training.events import Events
from imgq_trainer.training.running import _identity, run_training
from imgq_trainer.training.spec import EvaluateSpec, TrainSpec

Parsed = Callable[..., TrainSpec]
SpecOf = Callable[..., dict[str, Any]]
Said = list[dict[str, Any]]


def run(spec: TrainSpec, epochs: int | None = None) -> Said:
    """Train, to the end or until so many epochs were said; return what was said."""
    said = io.StringIO()

    def stop() -> bool:
        return epochs is not None and said.getvalue().count('"event": "epoch"') >= epochs

    with contextlib.suppress(Stopped):
        run_training(spec, Events(said), stop)
    return [json.loads(line) for line in said.getvalue().splitlines()]


def stages(said: Said) -> list[str]:
    return [event["stage"] for event in said if event["event"] == "stage"]


@pytest.fixture(scope="module")
def trained(plain_spec: SpecOf, colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What a whole training said."""
    places = {"root": str(colours), "work_dir": str(tmp_path_factory.mktemp("whole"))}
    return run(TrainSpec.model_validate_json(json.dumps(plain_spec(**places))))


def test_a_training_from_nothing_ends_with_a_model_and_its_report(trained: Said) -> None:
    done = trained[-1]
    assert stages(trained) == [
        *("scan", "scratch", "refit", "probe", "calibrate", "evaluate", "report")
    ]
    model = load_artifact(Path(done["artifact"])).model
    assert model.labels == ("blue", "green", "red")
    assert model.metrics == done["metrics"]
    assert model.provenance["dataset"] == done["dataset_digest"]
    assert (Path(done["report"]) / "report.html").exists()
    assert read_dataset(Path(done["dataset"])).digest == done["dataset_digest"]


def report_of(said: Said) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((Path(said[-1]["report"]) / "report.json").read_bytes())
    return report


def test_a_network_from_nothing_is_compared_with_the_default_models_probe(trained: Said) -> None:
    report = report_of(trained)

    assert [one["name"] for one in report["evaluation"]["baselines"]] == ["majority", "probe"]
    assert "on the features of imagenet:1" in report["notes"][-1]
    assert any("the linear probe" in sentence for sentence in trained[-1]["verdict"])


def test_without_the_default_model_there_is_no_probe_and_the_report_says_so(
    parsed: Parsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgq_trainer.lite_weights.PACKAGE", "a_package_that_is_not_here")
    said = run(parsed(backbone="test_resnet", image_size=32, epochs=1))

    assert "There is no linear probe to compare with." in report_of(said)["notes"][-1]


def test_a_report_names_no_place_of_the_machines_own(
    parsed: Parsed, trained: Said, own_model: Artifact
) -> None:
    spec = parsed(init="imagenet", init_artifact=str(own_model.folder), preset="fast", config={})

    assert "init_artifact" not in report_of(run(spec))["settings"]
    assert {"root", "preset", "config"} <= report_of(trained)["settings"].keys()


def test_serving_equals_evaluation_picture_by_picture(trained: Said, colours: Path) -> None:
    done = trained[-1]
    artifact, dataset = load_artifact(Path(done["artifact"])), read_dataset(Path(done["dataset"]))
    test = [example for example in dataset.examples if example.split is Split.TEST]
    report = json.loads((Path(done["report"]) / "report.json").read_bytes())

    precision = precisions("cpu", choose_engine("auto", "cpu"))[0]
    served = list(
        classify_files(
            load_classifier(artifact, precision=precision, threads=2),
            colours,
            [example.path for example in test],
            top_k=1,
            limits=ReadLimits(10**6, 10**6),
        )
    )

    said = np.zeros((3, 3), int)
    for example, outcome in zip(test, served, strict=True):
        assert isinstance(outcome, Prediction)
        said[example.label, outcome.top[0]] += 1
    evaluated = np.zeros((3, 3), int)
    for truth, predicted, pictures in report["evaluation"]["confusion"]:
        evaluated[truth, predicted] = pictures
    assert np.array_equal(said, evaluated)
    confidence = np.mean([p.scores[0] for p in served if isinstance(p, Prediction)])
    expected = report["evaluation"]["calibration"]["after"]["mean_confidence"]
    assert confidence == pytest.approx(expected, abs=1e-5)


def test_an_own_model_is_probed_and_then_trained_on(parsed: Parsed, own_model: Artifact) -> None:
    small = {"batch_size": 8, "epochs": 2}
    spec = parsed(
        init="imagenet",
        init_artifact=str(own_model.folder),
        parent="birds:3",
        config={"finetune": small},
        epochs=None,
    )
    said = run(spec)

    assert stages(said)[:3] == ["scan", "probe", "finetune"]
    assert load_artifact(Path(said[-1]["artifact"])).model.provenance["parent"] == "birds:3"
    baselines = json.loads((Path(said[-1]["report"]) / "report.json").read_bytes())
    assert baselines["evaluation"]["baselines"][0]["name"] == "majority"


def test_fast_is_a_probe_fitted_again_on_all_but_the_test_split(
    parsed: Parsed, own_model: Artifact, tmp_path: Path
) -> None:
    spec = parsed(init="imagenet", init_artifact=str(own_model.folder), preset="fast", config={})
    said = run(spec)

    assert stages(said) == ["scan", "probe", "refit", "calibrate", "evaluate", "report"]
    assert not list((tmp_path / "work").glob("cache/pictures-*"))
    again = run(spec)
    assert again[-1]["metrics"] == said[-1]["metrics"]


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_training_that_was_stopped_gives_the_same_model_in_the_end(
    parsed: Parsed, trained: Said, epochs: int
) -> None:
    whole = load_artifact(Path(trained[-1]["artifact"]))
    first = run(parsed(), epochs)
    kept = [event for event in first if event["event"] == "checkpoint"][-1]

    said = run(parsed(resume=kept["path"]))

    resumed = load_artifact(Path(said[-1]["artifact"]))
    assert first[-1]["event"] != "done"
    assert resumed.digest == whole.digest
    logged = [event["message"] for event in (*first, *said) if event["event"] == "log"]
    assert len(logged) == len(set(logged))


SEEDS = {"width": 8, "blocks": 0, "batch_size": 8, "learning_rate": 0.01, "seeds": 3}
SEVERAL = {"scratch": SEEDS, "checkpoints": {"epoch_seconds": 0.0}}


def epochs_of(said: Said, stage: str) -> list[tuple[int, int]]:
    told = [event for event in said if event["event"] == "epoch" and event["stage"] == stage]
    return [(event["run"], event["epoch"]) for event in told]


def test_runs_with_seeds_of_their_own_are_told_apart_and_all_reported(parsed: Parsed) -> None:
    said = run(parsed(preset="best", epochs=2, config=SEVERAL))

    assert epochs_of(said, "scratch") == [(run, epoch) for run in (1, 2, 3) for epoch in (1, 2)]
    rows = json.loads((Path(said[-1]["report"]) / "report.json").read_bytes())["epochs"]
    scratch = [row for row in rows if row["stage"] == "scratch"]
    assert sorted((row["run"], row["epoch"]) for row in scratch) == epochs_of(said, "scratch")
    assert len({row["run"] for row in scratch if row["chosen"]}) == 1


def test_a_training_stopped_in_a_later_run_gives_the_same_model(
    parsed: Parsed, tmp_path: Path
) -> None:
    several = {"preset": "best", "epochs": 2, "config": SEVERAL}
    whole = run(parsed(**several, work_dir=str(tmp_path / "whole")))
    first = run(parsed(**several), 3)
    kept = [event for event in first if event["event"] == "checkpoint"][-1]

    said = run(parsed(**several, resume=kept["path"]))

    assert (kept["run"], kept["epoch"]) == (2, 1)
    one, other = (load_artifact(Path(each[-1]["artifact"])) for each in (whole, said))
    assert one.digest == other.digest


def test_a_training_may_go_on_on_another_device(parsed: Parsed, trained: Said) -> None:
    dataset = read_dataset(Path(trained[-1]["dataset"]))
    one, other = parsed(), parsed(device="cuda:0", threads=7, learned="/other/learned.txt")

    assert _identity(one, dataset) == _identity(other, dataset)
    assert _identity(one, dataset) != _identity(parsed(seed=1), dataset)


def test_nothing_that_was_only_worked_with_is_left(parsed: Parsed, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / ".report.dead.new").mkdir(parents=True)
    (work / "artifact").mkdir()
    run(parsed())

    assert {path.name for path in work.iterdir()} == {
        "artifact",
        "checkpoints",
        "dataset",
        "report",
    }


def test_the_same_seed_gives_the_same_model(parsed: Parsed, trained: Said) -> None:
    again = run(parsed())

    one, other = (load_artifact(Path(said[-1]["artifact"])) for said in (trained, again))
    assert one.digest == other.digest


def test_a_model_is_evaluated_on_new_pictures(trained: Said, colours: Path, tmp_path: Path) -> None:
    done = trained[-1]
    said = io.StringIO()
    asked = {
        "kind": "evaluate",
        "root": str(colours),
        "work_dir": str(tmp_path / "judged"),
        "artifact": done["artifact"],
        "name": "colours:1",
        "threads": 2,
        "max_pixels": 10**6,
        "max_file_bytes": 10**6,
    }
    spec = EvaluateSpec.model_validate_json(json.dumps(asked))

    run_evaluation(spec, Events(said), lambda: False)

    event = json.loads(said.getvalue().splitlines()[-1])
    assert (event["event"], event["metrics"]["pictures"]) == ("done", 42)
    assert event["artifact"] == done["artifact"]
    report = json.loads((tmp_path / "judged" / "report" / "report.json").read_bytes())
    assert (report["title"], report["model"]) == ("Evaluation of colours:1", "colours:1")
    assert done["artifact"] not in json.dumps(report["settings"])
    assert "There is no linear probe to compare with" in report["notes"][0]


def test_pictures_that_were_learned_from_are_counted_with_their_likes(
    trained: Said, colours: Path, tmp_path: Path
) -> None:
    dataset = read_dataset(Path(trained[-1]["dataset"]))
    learned = [e.digest.hex() for e in dataset.examples if e.split is not Split.TEST]
    (tmp_path / "learned.txt").write_text("\n".join(learned))
    asked = {
        "kind": "evaluate",
        "root": str(colours),
        "work_dir": str(tmp_path / "judged"),
        "artifact": trained[-1]["artifact"],
        "learned": str(tmp_path / "learned.txt"),
        "threads": 2,
        "max_pixels": 10**6,
        "max_file_bytes": 10**6,
    }
    said = io.StringIO()
    run_evaluation(EvaluateSpec.model_validate_json(json.dumps(asked)), Events(said), lambda: False)

    done = json.loads(said.getvalue().splitlines()[-1])
    assert done["metrics"]["learned_pictures"] == len(learned)
    assert done["verdict"][0].startswith(f"{len(learned)} of 42 pictures were learned from:")


def test_a_test_picture_that_changes_ends_a_training_while_it_runs(
    parsed: Parsed, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgq_trainer.training.guarding.GUARD_SECONDS", 0.0)
    said = io.StringIO()

    def change_after_an_epoch() -> bool:
        if said.getvalue().count('"event": "epoch"') == 1:
            examples = read_dataset(tmp_path / "work" / "dataset").examples
            tested = next(each for each in examples if each.split is Split.TEST)
            (folder / tested.path.decode()).write_bytes(b"another")
        return False

    spec = parsed(root=str(folder), epochs=50)
    with pytest.raises(DatasetChanged, match="one file"):
        run_training(spec, Events(said), change_after_an_epoch)
    assert said.getvalue().count('"event": "epoch"') == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backbone": "test_resnet", "preset": "fast"}, "no trained weights"),
        ({"backbone": "vit_tiny_patch16_224", "image_size": 160}, "cannot see 160 x 160 pixels"),
    ],
)
def test_what_a_network_cannot_do_is_told_before_the_scan(
    parsed: Parsed, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(BackboneUnsuited, match=words):
        run(parsed(init="imagenet", config={}, **changes))
    assert not (tmp_path / "work" / "dataset").exists()


def test_a_disk_that_is_too_small_is_told_first(
    parsed: Parsed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("imgq_trainer.training.plans.MARGIN_BYTES", 1 << 60)
    with pytest.raises(DiskTooSmall, match="MB free"):
        run(parsed())
    assert not (tmp_path / "work" / "dataset").exists()


def start_process(spec: dict[str, Any], path: Path) -> "subprocess.Popen[str]":
    path.write_text(json.dumps(spec))
    command = [sys.executable, "-m", "imgq_trainer", "train", str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_sigterm_ends_the_process_with_a_checkpoint(spec_of: SpecOf, tmp_path: Path) -> None:
    with start_process(spec_of(epochs=5000), tmp_path / "spec.json") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "epoch":
                break
        process.send_signal(signal.SIGTERM)
        rest = [json.loads(line) for line in process.stdout]
        assert process.wait(30) == 143

    assert rest[-1]["event"] == "checkpoint"
    assert Path(rest[-1]["path"]).is_dir()


def test_what_is_wrong_is_the_last_event(spec_of: SpecOf, tmp_path: Path) -> None:
    spec = spec_of(root=str(tmp_path / "none"))
    with start_process(spec, tmp_path / "spec.json") as process:
        out, err = process.communicate(timeout=60)

    last = json.loads(out.splitlines()[-1])
    assert (process.returncode, err) == (1, "")
    assert (last["event"], last["slug"]) == ("failed", "root-unavailable")
    assert last["detail"] and last["title"]
