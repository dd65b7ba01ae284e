"""Every hostile file comes to the outcome that it must, through a whole job, in bounded memory."""

import csv
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.hostile.conftest import Service
from tests.hostile.corpus import damage, names, pictures, special
from tests.hostile.corpus.cases import Case
from tests.hostile.memory import allow_megabytes, forget_peak, peak_megabytes

from imgq_db.names import name_from_text

CASES: list[Case] = [
    case
    for group in (
        pictures.plain_pictures,
        pictures.modes,
        pictures.formats,
        pictures.turned,
        pictures.metadata,
        pictures.odd_jpegs,
        pictures.shapes,
        damage.cut_short,
        damage.lying_about_their_size,
        damage.bent,
        damage.no_pictures,
        names.named,
    )
    for case in group()
]
LIMIT_MEGABYTES = 700
SPECIAL = "special"


@dataclass(frozen=True, slots=True)
class Run:
    """One job over the corpus. lines: the JSON Lines export, by path."""

    job: dict[str, Any]
    lines: dict[bytes, dict[str, Any]]
    specials: dict[str, str]
    peak_megabytes: float

    def outcome(self, path: bytes) -> str:
        line = self.lines[path]
        return line["status"] if line["status"] == "ok" else f"{line['status']} {code_of(line)}"

    def sure(self, path: bytes) -> tuple[str, float]:
        return self.lines[path]["label"], self.lines[path]["confidence"]


def code_of(line: dict[str, Any]) -> str:
    return str(line["error"]["code"])


@pytest.fixture(scope="module")
def run(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Let a worker that may hold little more than its model classify the corpus."""
    folder, outside = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("outside")
    specials = special.fill(folder / SPECIAL, outside)
    write(folder / "warm", CASES[0])
    service.ended(service.submit(folder / "warm", precision="exact", cache=False))
    for case in CASES:
        write(folder, case)
    child = service.worker.child().pid
    before = forget_peak(child)
    allow_megabytes(child, LIMIT_MEGABYTES)
    job = service.ended(service.submit(folder, precision="exact"))
    lines = map(json.loads, json_lines(service, job))
    by_path = {name_from_text(line["path"]): line for line in lines}
    return Run(job, by_path, specials, peak_megabytes(child) - before)


def write(folder: Path, case: Case) -> None:
    path = Path(os.fsdecode(os.fsencode(folder) + b"/" + case.path))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(case.make())


def export(service: Service, job: dict[str, Any], form: str) -> str:
    return service.client.get(f"/v1/jobs/{job['id']}/results.{form}").get_data(as_text=True)


def json_lines(service: Service, job: dict[str, Any]) -> list[str]:
    # Not splitlines(): that would cut names with a line separator of Unicode in two.
    return export(service, job, "jsonl").removesuffix("\n").split("\n")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_hostile_file_comes_to_its_outcome(run: Run, case: Case) -> None:
    assert run.outcome(case.path) == case.outcome


@pytest.mark.parametrize("case", [case for case in CASES if case.like], ids=str)
def test_an_unusual_picture_looks_like_its_plain_form(run: Run, case: Case) -> None:
    assert case.like is not None
    (label, confidence), (wanted, sure) = run.sure(case.path), run.sure(case.like)

    assert label == wanted
    assert abs(confidence - sure) <= case.tolerance


def test_the_plain_forms_are_what_they_show(run: Run) -> None:
    assert {run.sure(path.encode())[0] for path in (pictures.PHOTO, pictures.FEW)} == {"espresso"}


def test_links_pipes_sockets_devices_and_closed_files_come_to_their_outcomes(run: Run) -> None:
    found = {path: run.outcome(path.encode()) for path in run.specials}

    assert found == run.specials


def test_there_is_one_row_for_each_file_and_no_other(run: Run, service: Service) -> None:
    wanted = {case.path for case in CASES} | {path.encode() for path in run.specials}
    checked = service.client.get(f"/v1/jobs/{run.job['id']}/verification").get_json()

    assert set(run.lines) - wanted == {b"warm/" + CASES[0].path}
    assert wanted - set(run.lines) == set()
    assert (run.job["state"], checked["ok"]) == ("succeeded", True)


def test_every_name_survives_csv_and_none_begins_a_formula(run: Run, service: Service) -> None:
    rows = list(csv.DictReader(io.StringIO(export(service, run.job, "csv"), newline="")))

    assert {name_from_text(row["path"]) for row in rows} == set(run.lines)
    cells = [cell for row in rows for cell in row.values() if cell]
    assert [cell for cell in cells if cell[0] in "=+-@\t\r\n＝"] == []


def test_jsonl_has_one_line_for_each_file(run: Run, service: Service) -> None:
    assert len(json_lines(service, run.job)) == len(run.lines) == run.job["progress"]["total"]


def test_decoding_stays_below_its_memory(run: Run) -> None:
    assert run.peak_megabytes <= LIMIT_MEGABYTES


def test_no_name_reaches_the_log_as_it_is(run: Run, service: Service) -> None:
    log = service.worker.log.read_text()

    assert "folder_listed" in log
    assert [word for word in ("\x1b", "\x9b", "forged=1", "k" * 43) if word in log] == []
