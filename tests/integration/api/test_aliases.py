"""Model cards, files, aliases and deletions over REST."""

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from imgq_db.artifacts import artifact_folder
from imgq_db.exporting import kept_exports
from imgq_db.keys import Scope
from imgq_db.models import ModelVersion, NewVersion, Origin, get_version, insert_version
from imgq_db.settings import Settings
from imgq_db.training.datasets import DatasetSnapshot, insert_dataset
from imgq_db.training.keeping import kept_report
from imgq_db.training.leases import claim_training
from imgq_db.training.outcomes import finish_comparison

Api = Callable[..., Any]
COUNTS = {"pictures": 40, "conclusive": True}
REFUSED = {"passed": False, "reasons": ["The challenger is worse."], "counts": COUNTS}
PASSED = {"passed": True, "reasons": [], "counts": COUNTS}
CHAMPION = "/v1/models/birds/aliases/champion"


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.json["type"].removeprefix("urn:imgq:problem:")


@pytest.fixture
def birds(engine: Engine, settings: Settings) -> list[ModelVersion]:
    """Two trained versions, the second from the first, with files that nobody can load."""
    dataset = DatasetSnapshot(
        "d" * 64, ("a", "b"), {"a": {"train": 8, "val": 1, "test": 1}},
        {"corrupt": ["x"], "notes": ["1 file was left out."]}, "e" * 64,
    )  # fmt: skip
    made: list[ModelVersion] = []
    for digest in "12":
        new = NewVersion(digest * 64, "resnet18", ("a", "b"), {}, {"accuracy": 0.5})
        origin = Origin("train", uuid4(), made[-1].id if made else None, dataset.digest, "r")
        with engine.begin() as connection:
            insert_dataset(connection, dataset)
            chosen = replace(origin, training={"preset": "fast", "verdict": ["Good."]})
            version_id, _ = insert_version(connection, "birds", new, chosen)
        folder = artifact_folder(settings, new.digest)
        folder.mkdir(parents=True)
        (folder / "model.json").write_text("{}")
        made.append(get_version(engine, version_id))
    report = kept_report(settings, "r")
    (report / "plots").mkdir(parents=True)
    (report / "report.html").write_text("<p>wrens</p>")
    (report / "plots" / "a.svg").write_text("<svg/>")
    return made


@pytest.fixture
def compare(engine: Engine) -> Callable[[dict[str, Any]], None]:
    """End the comparison that waits."""

    def end(judged: dict[str, Any]) -> None:
        lease = claim_training(engine, owner=uuid4(), roots=[], lease_seconds=30)
        assert lease is not None
        finish_comparison(engine, lease, judged)

    return end


def archived(response: Any) -> dict[str, bytes]:
    assert response.content_type == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(response.data)) as archive:
        members = {member.name: archive.extractfile(member) for member in archive}
        return {name: file.read() for name, file in members.items() if file}


def test_a_card_tells_where_a_version_comes_from(api: Api, birds: list[ModelVersion]) -> None:
    card = api("GET", "/v1/models/birds/versions/2").json
    assert (card["lineage"], card["job"]) == (["birds:1"], str(birds[1].job))
    assert (card["training"], card["verdict"]) == ({"preset": "fast"}, ["Good."])
    assert card["dataset"] == {
        "digest": "d" * 64,
        "test_digest": "e" * 64,
        "images": 10,
        "counts": {"a": {"train": 8, "val": 1, "test": 1}},
        "found": {"corrupt": 1},
        "notes": ["1 file was left out."],
    }
    assert card["links"]["report"] == "/v1/models/birds/versions/2/report"


def test_files_and_reports_can_be_downloaded(api: Api, birds: list[ModelVersion]) -> None:
    path = "/v1/models/birds/versions/1"
    assert archived(api("GET", f"{path}/artifact")) == {"model.json": b"{}"}
    report = {"plots/a.svg": b"<svg/>", "report.html": b"<p>wrens</p>"}
    assert archived(api("GET", f"{path}/report.tar")) == report
    page = api("GET", f"{path}/report")
    assert (page.data, page.mimetype) == (b"<p>wrens</p>", "text/html")
    page.close()
    assert problem(api("GET", "/v1/models/imagenet/versions/1/report")) == (404, "report-not-found")
    builtin = api("GET", "/v1/models/imagenet/versions/1/artifact")
    assert problem(builtin) == (409, "export-unavailable")


def test_another_format_is_written_by_a_trainer_once(
    api: Api, birds: list[ModelVersion], settings: Settings, ring: Any
) -> None:
    path = "/v1/models/birds/versions/1"
    asked = [api("POST", f"{path}/exports", json={"format": "onnx"}) for _ in range(2)]
    assert [each.status_code for each in asked] == [202, 202] and ring.rung == ["train"] * 2
    assert asked[0].json == asked[1].json == {**asked[0].json, "ref": "birds:1", "format": "onnx"}
    early = api("GET", f"{path}/artifact?format=onnx")
    assert problem(early) == (409, "export-unavailable")
    folder = kept_exports(settings, "1" * 64) / "onnx"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_text("layers")
    assert api("POST", f"{path}/exports", json={"format": "onnx"}).json["job"] is None
    assert archived(api("GET", f"{path}/artifact?format=onnx")) == {"model.onnx": b"layers"}


def test_the_first_champion_is_there_at_once(api: Api, birds: list[ModelVersion]) -> None:
    moved = api("PUT", CHAMPION, json={"version": 1})
    assert (moved.status_code, moved.json["ref"], moved.json["job"]) == (200, "birds:1", None)
    (change,) = moved.json["history"]
    assert (change["decision"], change["moved"], change["to_version"]) == ("first", True, 1)
    assert api("GET", CHAMPION).json == moved.json
    assert api("GET", "/v1/models/birds").json["aliases"] == {"champion": 1}


@pytest.mark.parametrize(("judged", "status"), [(PASSED, 200), (REFUSED, 409)])
def test_the_next_one_is_accepted_and_told_when_it_is_decided(
    judged: dict[str, Any],
    status: int,
    api: Api,
    birds: list[ModelVersion],
    compare: Callable[[dict[str, Any]], None],
    ring: Any,
) -> None:
    api("PUT", CHAMPION, json={"version": 1})
    asked = api("PUT", CHAMPION, json={"version": 2})
    job = asked.json["job"]
    assert (asked.status_code, asked.headers["Location"]) == (202, f"/v1/jobs/{job}")
    assert ring.rung == ["train"]
    assert api("GET", f"/v1/jobs/{job}").json["kind"] == "evaluate"
    compare(judged)
    again = api("PUT", CHAMPION, json={"version": 2})
    assert again.status_code == status
    assert api("GET", CHAMPION).json["history"][0]["moved"] is (status == 200)


def test_a_refusal_names_its_reasons(
    api: Api, birds: list[ModelVersion], compare: Callable[[dict[str, Any]], None]
) -> None:
    api("PUT", CHAMPION, json={"version": 1})
    api("PUT", CHAMPION, json={"version": 2})
    compare(REFUSED)
    refused = api("PUT", CHAMPION, json={"version": 2})
    assert problem(refused) == (409, "promotion-refused")
    assert refused.json["errors"] == [{"pointer": "", "detail": "The challenger is worse."}]
    forced = api("PUT", CHAMPION, json={"version": 2, "force": True})
    assert (forced.status_code, forced.json["history"][0]["decision"]) == (200, "forced")


def test_a_caller_that_waits_in_vain_is_told_the_job(api: Api, birds: list[ModelVersion]) -> None:
    api("PUT", CHAMPION, json={"version": 1})
    asked = api("PUT", CHAMPION, json={"version": 2}, headers={"Prefer": "wait=1"})
    assert asked.status_code == 202
    api("POST", f"/v1/jobs/{asked.json['job']}/cancel")
    assert api("GET", CHAMPION).json["job"] is None


def test_a_rollback_asked_for_twice_is_one_step(api: Api, birds: list[ModelVersion]) -> None:
    for version in (1, 2):
        api("PUT", CHAMPION, json={"version": version, "force": True})
    back = [api("POST", f"{CHAMPION}/rollback", json={"version": 2}) for _ in range(2)]
    assert [(each.status_code, each.json["version"]) for each in back] == [(200, 1), (200, 1)]
    further = api("POST", f"{CHAMPION}/rollback", json={"version": 1})
    assert problem(further) == (409, "nothing-to-roll-back")


def test_a_version_in_use_is_not_deleted(api: Api, birds: list[ModelVersion]) -> None:
    kept = api("DELETE", "/v1/models/birds/versions/1")
    assert problem(kept) == (409, "version-in-use")
    assert "birds:2 was trained on from it" in kept.json["errors"][0]["detail"]
    assert api("DELETE", "/v1/models/birds/versions/2").status_code == 204
    assert api("GET", "/v1/models/birds/versions/2").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        (CHAMPION, {"version": 9}, (404, "model-not-found")),
        (CHAMPION, {"version": 0}, (422, "request-invalid")),
        (CHAMPION, {}, (422, "request-invalid")),
        ("/v1/models/birds/aliases/A", {"version": 1}, (422, "alias-invalid")),
        ("/v1/models/fish/aliases/champion", {"version": 1}, (404, "model-not-found")),
    ],
)
def test_odd_aliases_are_refused(
    path: str, body: dict[str, Any], answer: tuple[int, str], api: Api, birds: list[ModelVersion]
) -> None:
    assert problem(api("PUT", path, json=body)) == answer


def test_who_may_only_submit_moves_no_alias(
    api_with: Callable[..., Api], birds: list[ModelVersion]
) -> None:
    reader = api_with(Scope.READ, Scope.SUBMIT)
    assert reader("PUT", CHAMPION, json={"version": 1}).status_code == 403
    assert reader("DELETE", "/v1/models/birds/versions/2").status_code == 403
