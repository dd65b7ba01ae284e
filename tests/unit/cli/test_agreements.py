from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from imgq_cli.agreements import agreement_sentence
from imgq_cli.fakes import Answer, FakeServer

UID = "01997c5e-0000-7000-8000-00000abcdef1"
EMPTY = {"labels": [], "unsure": 0, "errors": {}, "skipped": {}, "histogram": [0] * 10}
Imgq = Callable[..., Result]
MakeJob = Callable[..., dict[str, Any]]


def agreement(pictures: int, same: int, sure: int, same_sure: int) -> Any:
    return {
        "pictures": pictures,
        "same": same,
        "sure": sure,
        "same_sure": same_sure,
        "score_difference": 0.01 if pictures else None,
    }


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            agreement(256, 251, 93, 93),
            "int8 agrees with exact on 251 of 256 pictures of this folder,"
            " and on all 93 that exact is sure of (above 0.5).",
        ),
        (
            agreement(20, 20, 4, 3),
            "int8 agrees with exact on all 20 pictures of this folder,"
            " and on 3 of 4 that exact is sure of (above 0.5).",
        ),
        (
            agreement(20, 19, 0, 0),
            "int8 agrees with exact on 19 of 20 pictures of this folder;"
            " of none was exact sure (above 0.5).",
        ),
        (
            agreement(0, 0, 0, 0),
            "No picture of this folder was there to compare int8 with exact on.",
        ),
    ],
)
def test_an_agreement_is_told_in_a_sentence(found: Any, sentence: str) -> None:
    assert agreement_sentence(found) == sentence


def test_the_panel_and_the_report_of_an_int8_job_tell_its_agreement(
    server: FakeServer, imgq: Imgq, make_job: MakeJob
) -> None:
    warning = "int8 changes 2 of 93 labels that exact arithmetic is sure of."
    found = agreement(256, 251, 93, 91)
    job = make_job("succeeded", precision="int8", agreement=found, notice=warning)
    server.on("GET", f"/v1/jobs/{UID}", Answer(job))
    server.on("GET", f"/v1/jobs/{UID}/summary", Answer(EMPTY))

    panel, report = imgq("status", UID).stdout, imgq("watch", UID).stderr

    for shown in (panel.replace("│", " "), report):
        text = " ".join(shown.split())
        assert "int8 agrees with exact on 251 of 256 pictures" in text
        assert warning in text


def test_other_jobs_tell_of_no_agreement(server: FakeServer, imgq: Imgq, make_job: MakeJob) -> None:
    server.on("GET", f"/v1/jobs/{UID}", Answer(make_job("succeeded", agreement=None)))
    assert "int8" not in imgq("status", UID).stdout
