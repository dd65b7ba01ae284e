"""`standin.py train|evaluate SPEC.json`: says what a trainer says, and dies as it is told.

The spec's config: epochs; hold_at, the epoch after whose checkpoint it waits for `hold` to be
opened; random: no weights of another model are used; ending: done, failed, silence, an exit status,
or a signal's name. Pictures are not read.
"""

import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

PIXELS = {
    "resize": 256,
    "crop": 224,
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}


def say(event: str, **content: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **content}) + "\n")
    sys.stdout.flush()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def checkpoint(work: Path, epoch: int) -> None:
    folder = work / "checkpoints" / f"{epoch:06d}"
    folder.mkdir(parents=True, exist_ok=True)
    tensors = b"weights after epoch %d" % epoch
    (folder / "tensors.safetensors").write_bytes(tensors)
    state = json.dumps({"epoch": epoch, "tensors_sha256": sha256(tensors)}).encode()
    (folder / "state.json").write_bytes(state)
    say("checkpoint", path=str(folder), sha256=sha256(state), stage="finetune", run=1, epoch=epoch)


def write_artifact(folder: Path, seed: int, parent: str | None) -> None:
    folder.mkdir()
    header = json.dumps({"head.bias": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})
    weights = struct.pack("<Q", len(header)) + header.encode() + struct.pack("<ff", seed, 1)
    (folder / "weights.safetensors").write_bytes(weights)
    document = {
        "format": "imgq-model/1",
        "architecture": {"library": "timm", "name": "resnet18", "arguments": {}},
        "labels": ["jay", "wren"],
        "preprocessing": PIXELS,
        "weights": {"file": "weights.safetensors", "sha256": sha256(weights)},
        "temperature": 1.5,
        "metrics": {"accuracy": 0.9},
        "provenance": {"parent": parent},
    }
    (folder / "model.json").write_text(json.dumps(document))


def write_dataset(folder: Path, root: Path) -> str:
    """The files below root by name: the last of each label tests, the others train."""
    folder.mkdir()
    lines: list[dict[str, object]] = [{"format": "imgq-dataset/1", "labels": ["jay", "wren"]}]
    for label in ("jay", "wren"):
        files = sorted((root / label).iterdir())
        for number, file in enumerate(files):
            lines.append(
                {
                    "path": f"{label}/{file.name}",
                    "label": label,
                    "split": "test" if file == files[-1] else "train",
                    "sha256": sha256(file.read_bytes()),
                    "group": None,
                    "cluster": number,
                }
            )
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (folder / "dataset.jsonl").write_bytes(content)
    (folder / "findings.json").write_text(json.dumps({"notes": ["all is well"]}))
    return sha256(content)


def done(spec: dict[str, Any], work: Path) -> None:
    for name in ("artifact", "dataset", "report"):  # of an attempt that was killed after this
        shutil.rmtree(work / name, ignore_errors=True)
    report = work / "report"
    (report / "plots").mkdir(parents=True)
    (report / "report.html").write_text("<p>wrens</p>")
    (report / "plots" / "confusion.svg").write_text("<svg/>")
    content: dict[str, Any] = {"report": str(report)}
    if spec["kind"] == "train":
        began = spec.get("parent") or "imagenet:1"
        parent = None if spec["config"].get("random") else began
        write_artifact(work / "artifact", spec["seed"], parent)
        digest = write_dataset(work / "dataset", Path(spec["root"]))
        content |= {"artifact": str(work / "artifact"), "dataset": str(work / "dataset")}
        content["dataset_digest"] = digest
    say("done", **content, metrics={"accuracy": 0.9}, verdict=["Good enough."])


def end(ending: str, spec: dict[str, Any], work: Path) -> None:
    if ending == "done":
        done(spec, work)
    elif ending == "failed":
        say("failed", slug="too-few-classes", title="Too few", detail="One class.", hint="Add one.")
        sys.exit(1)
    elif ending == "silence":
        signal.pause()
    elif ending.isdigit():
        sys.stderr.write("Traceback (most recent call last):\nValueError: no\n")
        sys.exit(int(ending))
    else:
        os.kill(os.getpid(), getattr(signal, ending))


def main() -> None:
    spec = json.loads(Path(sys.argv[2]).read_bytes())
    work, knobs = Path(spec["work_dir"]), spec.get("config", {})

    def stop(*_: object) -> None:
        checkpoint(work, 99)
        sys.exit(143)

    signal.signal(signal.SIGTERM, stop)
    if knobs.get("grandchild"):
        subprocess.Popen(["sleep", "600"])
    resume = spec.get("resume")
    first = json.loads((Path(resume) / "state.json").read_bytes())["epoch"] if resume else 0
    sys.stdout.write("loading libraries\n")
    say("scanned", images=4, labels={"jay": 2, "wren": 2}, notes=["4 pictures."])
    say("stage", stage="finetune")
    for epoch in range(first + 1, knobs.get("epochs", 2) + 1):
        say(
            "epoch",
            stage="finetune",
            run=1,
            runs=1,
            epoch=epoch,
            epochs=knobs.get("epochs", 2),
            train_loss=1 / epoch,
            val_loss=float("nan") if knobs.get("nan") else 2 / epoch,
            macro_f1=0.5,
            learning_rate=0.1,
            images_per_second=7.0,
            eta_seconds=1.0,
        )
        if knobs.get("checkpoints", True):
            checkpoint(work, epoch)
        if epoch == knobs.get("hold_at"):
            Path(knobs["hold"]).read_bytes()  # to its end: a reader gone early breaks the writer
    end(knobs.get("ending", "done"), spec, work)


main()
