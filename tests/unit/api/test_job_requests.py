"""New train and evaluate jobs: what is accepted, and where a fault is."""

from typing import Any

import pytest
from flask import Flask

from imgq_api.errors import FieldError, RequestInvalid
from imgq_api.job_requests import JobRequest
from imgq_api.openapi import _read_body
from imgq_db.errors import OptionInvalid
from imgq_db.jobs import JobKind, NewJob, Priority
from imgq_db.train_options import EvaluateOptions, TrainOptions

TRAIN = {"kind": "train", "source": {"uri": "file:///birds"}, "options": {"name": "birds"}}
EVALUATE = {"kind": "evaluate", "source": {"uri": "file:///birds"}, "model": "birds:3"}
EVERY_OPTION: dict[str, Any] = {
    "name": "birds",
    "manifest": "lists/all.csv",
    "init": "birds:2",
    "backbone": None,
    "preset": "best",
    "epochs": 20,
    "max_seconds": 1800.0,
    "image_size": 192,
    "batch_size": 64,
    "val": 0.2,
    "test": 0.1,
    "group_by": r"^([^_]+)_",
    "imbalance": "sampler",
    "augment": "light",
    "seed": 7,
    "config": {"refit": "no", "finetune": {"mixup": 0.2, "optimiser": "sgd"}},
    "keep_best": True,
}


def read(app: Flask, body: object) -> JobRequest:
    with app.test_request_context("/", method="POST", json=body) as context:
        found = _read_body(context.request, JobRequest)
    assert isinstance(found, JobRequest)
    return found


def new(app: Flask, body: object) -> NewJob:
    return read(app, body).to_new_job(key_id=7, idempotency_key="k")


def faults(app: Flask, body: object) -> tuple[FieldError, ...]:
    with pytest.raises(RequestInvalid) as caught:
        read(app, body)
    return caught.value.errors


def test_smallest_train_job_gets_the_defaults(lonely_app: Flask) -> None:
    assert new(lonely_app, TRAIN) == NewJob(
        source="file:///birds",
        model="",
        options=TrainOptions("birds"),
        kind=JobKind.TRAIN,
        name=None,
        tags={},
        priority=Priority.NORMAL,
        key_id=7,
        idempotency_key="k",
    )


def test_every_option_of_a_training_arrives(lonely_app: Flask) -> None:
    assert new(lonely_app, {**TRAIN, "options": EVERY_OPTION}).options == TrainOptions(
        **EVERY_OPTION
    )


def test_evaluate_job_is_read_whole(lonely_app: Flask) -> None:
    made = new(lonely_app, {**EVALUATE, "options": {"manifest": "all.jsonl", "seed": 3}})

    assert (made.kind, made.model) == (JobKind.EVALUATE, "birds:3")
    assert made.options == EvaluateOptions("all.jsonl", 3)


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"name": ""}, "#/options/name"),
        ({"preset": "slow"}, "#/options/preset"),
        ({"epochs": 0}, "#/options/epochs"),
        ({"epochs": "3"}, "#/options/epochs"),
        ({"max_seconds": 0.5}, "#/options/max_seconds"),
        ({"image_size": 4096}, "#/options/image_size"),
        ({"batch_size": "auto"}, "#/options/batch_size"),
        ({"val": 0.0}, "#/options/val"),
        ({"test": 1.0}, "#/options/test"),
        ({"imbalance": "some"}, "#/options/imbalance"),
        ({"augment": "wild"}, "#/options/augment"),
        ({"seed": -1}, "#/options/seed"),
        ({"config": {"finetune": {"epocs": 3}}}, "#/options/config"),
        ({"group_by": "a\0"}, "#/options/group_by"),
        ({"top_k": 5}, "#/options/top_k"),
    ],
)
def test_fault_of_an_option_is_pointed_at(
    lonely_app: Flask, options: dict[str, Any], pointer: str
) -> None:
    found = faults(lonely_app, {**TRAIN, "options": {"name": "birds", **options}})

    assert [fault.pointer for fault in found] == [pointer]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({**TRAIN, "model": "birds:3"}, "#/model"),
        ({**TRAIN, "options": {}}, "#/options/name"),
        ({"kind": "train", "source": {"uri": "file:///birds"}}, "#/options"),
        ({"kind": "evaluate", "source": {"uri": "file:///birds"}}, "#/model"),
        ({**EVALUATE, "options": {"name": "birds"}}, "#/options/name"),
    ],
)
def test_each_kind_has_its_own_fields(
    lonely_app: Flask, body: dict[str, Any], pointer: str
) -> None:
    assert [fault.pointer for fault in faults(lonely_app, body)] == [pointer]


@pytest.mark.parametrize(
    "options",
    [
        {"val": 0.5, "test": 0.5},
        {"init": "scratch", "preset": "fast"},
        {"init": "birds:2", "backbone": "resnet18"},
        {"manifest": "../all.csv"},
    ],
)
def test_options_that_do_not_go_together_are_refused(
    lonely_app: Flask, options: dict[str, Any]
) -> None:
    with pytest.raises(OptionInvalid):
        new(lonely_app, {**TRAIN, "options": {"name": "birds", **options}})
