"""`imgq models`: promotions, the way back, files and deletions."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.unit.cli.packed import tar

from imgq_cli.exits import Exit
from imgq_cli.fakes import Answer, FakeServer

Imgq = Callable[..., Result]
UID = "01997c5e-0000-7000-8000-00000abcdef1"
ALIAS = "/v1/models/birds/aliases/champion"
VERSION = "/v1/models/birds/versions/4"
COUNTS = {"pictures": 57, "champion_right": 54, "challenger_right": 55}


def change(decision: str, *reasons: str, job: str | None = UID) -> dict[str, Any]:
    return {
        "changed_at": "2026-11-01T10:00:00Z",
        "by": "abcd1234",
        "from_version": 3,
        "to_version": 4,
        "moved": decision not in ("refused", "outdated"),
        "decision": decision,
        "reasons": list(reasons),
        "counts": COUNTS if job else None,
        "job": job,
    }


def alias(version: int, *changes: dict[str, Any], job: str | None = None) -> dict[str, Any]:
    return {
        "name": "birds",
        "alias": "champion",
        "version": version,
        "ref": f"birds:{version}",
        "job": job,
        "history": list(changes),
    }


@pytest.fixture
def comparing(server: FakeServer, make_job: Callable[..., Any]) -> Callable[..., None]:
    """A server where the comparison ends in this state, and the alias is like this."""

    def script(state: str, after: dict[str, Any], **changes: Any) -> None:
        job = make_job(state, kind="evaluate", id=UID, **changes)
        figures = ("train_loss", "val_loss", "macro_f1", "eta_seconds", "fraction")
        counts = ("images", "stage", "done", "total", "run", "runs", "epoch", "epochs")
        job["progress"] = dict.fromkeys((*counts, *figures))
        server.on("PUT", ALIAS, Answer(alias(3, job=UID), 202))
        server.on("GET", f"/v1/jobs/{UID}", Answer(job))
        for part in ("epochs", "log"):
            server.on("GET", f"/v1/jobs/{UID}/{part}", Answer({"items": [], "next_cursor": None}))
        server.on("GET", ALIAS, Answer(after))

    return script


def test_a_promotion_waits_for_the_gate(
    server: FakeServer, imgq: Imgq, comparing: Callable[..., None]
) -> None:
    comparing("succeeded", alias(4, change("passed")))
    result = imgq("models", "promote", "birds:4")
    words = "birds@champion is birds:4. Of 57 pictures it has 55 right, the one before 54.\n"
    assert (result.exit_code, result.stdout) == (Exit.OK, words)
    assert server.requests[0].body == {"version": 4, "force": False}


def test_a_refusal_after_the_comparison_is_exit_1_with_its_reasons(
    imgq: Imgq, comparing: Callable[..., None]
) -> None:
    comparing("succeeded", alias(3, change("refused", "The challenger is worse.")))
    result = imgq("models", "promote", "birds:4")
    assert (result.exit_code, result.stdout) == (Exit.CONFLICT, "")
    assert "birds:4 does not become birds@champion." in result.stderr
    assert "The challenger is worse." in result.stderr
    assert "Try: imgq models promote birds:4 --force" in result.stderr


def test_a_refusal_at_once_is_exit_1_with_its_reasons(server: FakeServer, imgq: Imgq) -> None:
    problem = {
        "title": "Refused",
        "detail": "birds:4 does not become birds@champion.",
        "hint": "imgq models promote birds:4 --force",
        "errors": [{"pointer": "", "detail": "Other labels."}, {"pointer": "", "detail": "Few."}],
    }
    server.on("PUT", ALIAS, Answer(problem, 409))
    result = imgq("models", "promote", "birds:4")
    assert result.exit_code == Exit.CONFLICT
    assert "  Other labels.\n  Few.\n" in result.stderr


@pytest.mark.parametrize(
    ("state", "code"), [("failed", Exit.JOB_FAILED), ("cancelled", Exit.CANCELLED)]
)
def test_a_comparison_that_ends_otherwise_decides_nothing(
    state: str, code: Exit, imgq: Imgq, comparing: Callable[..., None]
) -> None:
    comparing(state, alias(3), error={"detail": "No memory.", "hint": None})
    result = imgq("models", "promote", "birds:4")
    assert result.exit_code == code
    assert "The two models were not compared: No memory." in result.stderr


def test_a_comparison_that_was_watched_ends_with_what_came_of_it(
    imgq: Imgq, comparing: Callable[..., None]
) -> None:
    result = {
        "model": "birds:4",
        "metrics": COUNTS,
        "verdict": ["birds:4 is birds@champion."],
        "promotion": {"alias": "champion", "champion": "birds:3", "decision": "passed"},
    }
    comparing("succeeded", alias(4), result=result, links={"report": None})
    watched = imgq("watch", UID)
    assert (watched.exit_code, watched.exception) == (Exit.OK, None)
    assert "birds:4 is birds@champion." in watched.output


def test_force_is_passed_on(server: FakeServer, imgq: Imgq) -> None:
    server.on("PUT", ALIAS, Answer(alias(4, change("forced", job=None))))
    result = imgq("models", "promote", "birds:4", "--force")
    assert (result.exit_code, result.stdout) == (Exit.OK, "birds@champion is birds:4.\n")
    assert server.requests[0].body == {"version": 4, "force": True}


def test_a_rollback_names_the_version_that_it_leaves(server: FakeServer, imgq: Imgq) -> None:
    server.on("GET", ALIAS, Answer(alias(4)))
    server.on("POST", f"{ALIAS}/rollback", Answer(alias(3, change("rollback", job=None))))
    result = imgq("models", "rollback", "birds")
    assert (result.exit_code, result.stdout) == (Exit.OK, "birds@champion is birds:3.\n")
    assert server.requests[1].body == {"version": 4}


@pytest.fixture
def artifact() -> dict[str, bytes]:
    weights = {"file": "weights", "sha256": hashlib.sha256(b"heavy").hexdigest()}
    return {"model.json": json.dumps({"weights": weights}).encode(), "weights": b"heavy"}


@pytest.fixture
def exporting(server: FakeServer, artifact: dict[str, bytes]) -> Callable[[bytes], None]:
    def script(archive: bytes) -> None:
        digest = hashlib.sha256(artifact["model.json"]).hexdigest()
        server.on("GET", VERSION, Answer({"digest": digest}))
        server.on("GET", f"{VERSION}/artifact", Answer(archive))

    return script


def test_an_export_is_a_whole_folder(
    imgq: Imgq, exporting: Callable[[bytes], None], artifact: dict[str, bytes], tmp_path: Path
) -> None:
    exporting(tar(artifact))
    result = imgq("models", "export", "birds:4", "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (Exit.OK, f"{tmp_path / 'out'}\n")
    assert {each.name for each in (tmp_path / "out").iterdir()} == {"model.json", "weights"}
    again = imgq("models", "export", "birds:4", "-o", tmp_path / "out")
    assert again.exit_code == Exit.USAGE


@pytest.mark.parametrize(
    "change", [{"weights": b"light"}, {"../../evil": b"x"}, {"model.json": b"{}"}]
)
def test_a_damaged_export_leaves_nothing(
    change: dict[str, bytes],
    imgq: Imgq,
    exporting: Callable[[bytes], None],
    artifact: dict[str, bytes],
    tmp_path: Path,
) -> None:
    exporting(tar({**artifact, **change}))
    result = imgq("models", "export", "birds:4", "-o", tmp_path / "files" / "out")
    assert result.exit_code == Exit.USAGE  # the folder above is not there
    (tmp_path / "files").mkdir()
    result = imgq("models", "export", "birds:4", "-o", tmp_path / "files" / "out")
    assert result.exit_code == Exit.UNEXPECTED and "Try: the same command" in result.stderr
    assert list((tmp_path / "files").iterdir()) == []


def test_another_format_is_awaited(
    server: FakeServer, imgq: Imgq, comparing: Callable[..., None], tmp_path: Path
) -> None:
    comparing("succeeded", alias(4))
    server.on("POST", f"{VERSION}/exports", Answer({"job": UID}, 202))
    server.on("GET", f"{VERSION}/artifact", Answer(tar({"parity.json": b"{}"})))
    result = imgq("models", "export", "birds:4", "--format", "onnx", "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (Exit.OK, f"{tmp_path / 'out'}\n")
    assert server.requests[-1].query == {"format": ["onnx"]}


def test_a_format_that_cannot_be_written_says_why(
    server: FakeServer, imgq: Imgq, comparing: Callable[..., None], tmp_path: Path
) -> None:
    error = {"detail": "The package onnx is missing.", "hint": "pip install 'imgq[export]'"}
    comparing("failed", alias(4), error=error)
    server.on("POST", f"{VERSION}/exports", Answer({"job": UID}, 202))
    result = imgq("models", "export", "birds:4", "--format", "onnx", "-o", tmp_path / "out")
    assert result.exit_code == Exit.JOB_FAILED
    assert "The model was not exported: The package onnx is missing." in result.stderr
    assert "Try: pip install 'imgq[export]'" in result.stderr


def test_an_export_that_takes_longer_says_how_to_save_it_later(
    server: FakeServer, imgq: Imgq, comparing: Callable[..., None]
) -> None:
    comparing("running", alias(4))
    server.on("POST", f"{VERSION}/exports", Answer({"job": UID}, 202))
    asked = "models export birds:4 --format onnx -o out --timeout 1"
    result = imgq(*asked.split())
    assert result.exit_code == Exit.STILL_RUNNING
    assert "the same command goes on waiting, and saves the files." in result.stderr
    assert "Try: imgq models export birds:4 --format onnx -o DIR" in result.stderr


def test_a_report_is_a_folder(server: FakeServer, imgq: Imgq, tmp_path: Path) -> None:
    server.on("GET", f"{VERSION}/report.tar", Answer(tar({"plots/a": b"<svg/>"})))
    result = imgq("models", "report", "birds:4", "-o", tmp_path / "out")
    assert result.stdout == f"{tmp_path / 'out' / 'report.html'}\n"
    assert (tmp_path / "out" / "plots" / "a").read_bytes() == b"<svg/>"


def test_only_a_version_by_its_number_is_deleted(server: FakeServer, imgq: Imgq) -> None:
    server.on("DELETE", VERSION, Answer(None, 204))
    assert imgq("models", "delete", "birds").exit_code == Exit.USAGE
    assert imgq("models", "delete", "birds:4", terminal=True, input="n\n").exit_code != Exit.OK
    assert [sent.method for sent in server.requests] == []
    assert imgq("models", "delete", "birds:4", "--yes").exit_code == Exit.OK


def test_a_card_tells_figures_with_intervals_data_and_history(
    server: FakeServer, imgq: Imgq
) -> None:
    card = {
        "ref": "birds:4",
        "name": "birds",
        "aliases": ["champion"],
        "architecture": "resnet18",
        "labels": ["jay", "wren"],
        "preprocessing": {"crop": 224},
        "metrics": {"pictures": 45, "accuracy": 0.9, "accuracy_interval": [0.85, 0.94],
                    "standing": "weak"},
        "source": "train",
        "digest": "00ff",
        "created_at": "2026-11-01T10:00:00Z",
        "lineage": ["imagenet:1"],
        "verdict": ["± 6 points.", "Few pictures."],
        "dataset": {"digest": "dd", "images": 9, "notes": ["1 file was left out."],
                    "counts": {"jay": {"train": 7, "val": 1, "test": 1}}},
        "links": {"report": "/v1/x"},
    }  # fmt: skip
    server.on("GET", VERSION, Answer(card))
    server.on("GET", ALIAS, Answer(alias(4, change("passed"))))
    said = imgq("models", "show", "birds:4").stdout
    for words in (
        "90.0 % (95 %: 85.0 % to 94.0 %)",
        "birds:4 ← imagenet:1",
        "dd: 9 pictures (7 train, 1 val, 1 test)",
        "1 file was left out.",
        "standing             Usable, with the limits below",
        "verdict              ± 6 points.",
        "                     Few pictures.",
        "judged on            45 pictures",
        "imgq models report birds:4 -o DIR",
        "birds:4 is champion in place of birds:3.",
    ):
        assert words in said


def test_a_card_without_labels_says_how_many_there_are(server: FakeServer, imgq: Imgq) -> None:
    card = {
        "ref": "imagenet:1",
        "name": "imagenet",
        "aliases": [],
        "architecture": "tf_efficientnet_lite0",
        "classes": 1000,
        "labels": [],
        "preprocessing": {},
        "metrics": {},
        "source": "builtin",
        "digest": None,
        "created_at": "2026-11-01T10:00:00Z",
    }
    server.on("GET", "/v1/models/imagenet/versions/1", Answer(card))
    server.on("GET", "/v1/models/imagenet/aliases/champion", Answer({"history": []}))
    said = imgq("models", "show", "imagenet:1").stdout

    assert "labels        1 000; their names come with its first use" in said


def test_a_card_of_an_import_tells_where_it_was_made_and_that_no_verdict_came(
    server: FakeServer, imgq: Imgq
) -> None:
    card = {
        "ref": "birds:4",
        "name": "birds",
        "aliases": [],
        "architecture": "resnet18",
        "labels": ["jay", "wren"],
        "preprocessing": {},
        "metrics": {"accuracy": 0.9, "standing": "weak"},
        "source": "import",
        "digest": "00ff",
        "created_at": "2026-11-01T10:00:00Z",
        "lineage": [],
        "verdict": [],
        "provenance": {"seed": 1, "title": "jays", "parent": "fish:2", "versions": {"torch": "2"}},
    }  # fmt: skip
    server.on("GET", VERSION, Answer(card))
    server.on("GET", ALIAS, Answer(alias(4, change("passed"))))
    said = imgq("models", "show", "birds:4").stdout.splitlines()

    rows = [(row[:20].rstrip(), row[22:].rstrip()) for row in said]
    assert ("standing", "Usable, with limits") in rows
    assert ("verdict", "not imported: the report has it, where the model was trained") in rows
    assert rows[rows.index(("lineage", "birds:4")) + 1 :][:4] == [
        ("trained from", "fish:2, as it was called where that was done"),
        ("provenance: title", "jays"),
        ("provenance: seed", "1"),
        ("provenance: versions", "torch 2"),
    ]


def test_the_list_tells_how_each_version_stands(server: FakeServer, imgq: Imgq) -> None:
    version = {"aliases": [], "architecture": "resnet18", "classes": 2, "source": "train"}
    version["created_at"] = "2026-11-01T10:00:00Z"
    standings = {"birds:2": {"standing": "failed"}, "birds:1": {"standing": "sound"}, "fish:1": {}}
    items = [{**version, "ref": ref, "metrics": figures} for ref, figures in standings.items()]
    server.on("GET", "/v1/models", Answer({"items": items, "next_cursor": None}))
    rows = imgq("models", "list").stdout.splitlines()[1:]

    assert [row.split()[5] for row in rows] == ["failed", "sound", "–"]
