"""New trainings: what cannot be done is refused before anything is queued."""

from pathlib import Path
from typing import Any

import pytest

from imgq_db.errors import (
    ArtifactInvalid,
    ImgqError,
    OptionInvalid,
    SourceInvalid,
    SourceNotAllowed,
)
from imgq_db.settings import Settings
from imgq_db.train_options import TrainOptions
from imgq_db.train_requests import check_training

LOCAL = Settings(local_files=True)
SERVER = Settings(roots={"photos": Path("/data/photos")})
NAMED = {"backbone": "resnet18"}


def asked(**options: Any) -> TrainOptions:
    return TrainOptions(**{"name": "birds", **options})


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, SERVER),
        ({**NAMED, "config": {"weights": "/w/ü%.safetensors"}}, LOCAL),
        ({**NAMED, "config": {"weights": "root:photos/w.safetensors"}}, SERVER),
        ({**NAMED, "config": {"weights": None}}, SERVER),
        ({"group_by": "^(a)"}, SERVER),
        ({"group_by": "(", "manifest": "all.csv"}, SERVER),  # the name of a column
    ],
)
def test_what_can_be_trained_is_taken(options: dict[str, Any], settings: Settings) -> None:
    check_training(asked(**options), settings)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": "scratch"}, ArtifactInvalid),
        ({"config": {"weights": "root:photos/w"}}, OptionInvalid),
        ({"config": {"weights": "root:photos/w"}, "init": "birds:1"}, OptionInvalid),
        ({**NAMED, "config": {"weights": "/etc/passwd"}}, SourceNotAllowed),
        ({**NAMED, "config": {"weights": "root:photos/../w"}}, SourceInvalid),
        ({**NAMED, "config": {"weights": "root:other/w"}}, SourceNotAllowed),
        ({**NAMED, "config": {"weights": "w"}}, SourceInvalid),
        ({**NAMED, "config": {"weights": ""}}, SourceInvalid),
        ({**NAMED, "config": {"weights": "/\ud800"}}, SourceInvalid),
        ({"group_by": "("}, OptionInvalid),
        ({"group_by": "a{99999999999999999999}"}, OptionInvalid),
        ({"group_by": "(" * 900 + ")" * 900}, OptionInvalid),
    ],
)
def test_what_cannot_be_trained_on_a_server_is_refused(
    options: dict[str, Any], error: type[ImgqError]
) -> None:
    with pytest.raises(error, match=r"\.$"):
        check_training(asked(**options), SERVER)


def test_what_was_stored_before_a_name_was_refused_is_still_read() -> None:
    assert TrainOptions.from_json(asked(name="scratch").to_json()).name == "scratch"
