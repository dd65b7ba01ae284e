"""`imgq train`: one labelled folder becomes one version of a model."""

from __future__ import annotations

from typing import Any

import rich_click as click

from imgq_cli.errors import CliError
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.labelled import Labelled, check_labelled, find_labelled, model_name
from imgq_cli.params import Duration, Place, WholeOrAuto
from imgq_cli.submitting import check_text, job_options, waiting_options
from imgq_cli.train_configs import read_config, told_of_file
from imgq_cli.train_submitting import report_option, submit_training

#: Options that are sent as they are typed.
SENT_OPTIONS = (
    "init",
    "backbone",
    "preset",
    "epochs",
    "image_size",
    "batch_size",
    "val",
    "test",
    "group_by",
    "imbalance",
    "augment",
    "seed",
    "keep_best",
)
LEAST_CLASSES = 2


@click.command("train")
@click.argument("path")
@click.option("--name", metavar="NAME", panel="The model",
              help="The model that gets a new version. Default: the folder's name.")  # fmt: skip
@click.option("--init", default="imagenet", show_default=True, metavar="imagenet|scratch|NAME:V",
              panel="The model", help="What to start from: ImageNet's weights, none, or a model of "
              "yours.")  # fmt: skip
@click.option("--backbone", metavar="NAME", panel="The model",
              help="One of timm's architectures. Default: EfficientNet-Lite0.")  # fmt: skip
@click.option("--preset", type=click.Choice(["fast", "balanced", "best"]), default="balanced",
              show_default=True, panel="How to train", help="fast: a probe on what the network "
              "sees, in about the time of labelling the folder. balanced: a probe, then "
              "fine-tuning. best: longer, several times.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1, 10_000), metavar="N", panel="How to train",
              help="Passes over the pictures, at most. Default: the preset's.")  # fmt: skip
@click.option("--max-time", "max_seconds", type=Duration(least=1, most=1e8), metavar="30m",
              panel="How to train", help="Be done within so long, 1s or more; the best model by "
              "then counts.")  # fmt: skip
@click.option("--image-size", type=click.IntRange(8, 2048), metavar="PIXELS",
              panel="How to train", help="Side of what the network sees.")  # fmt: skip
@click.option("--batch-size", type=WholeOrAuto(1, 4096), default="auto", show_default=True,
              metavar="N|auto", panel="How to train", help="Pictures in one step.")  # fmt: skip
@click.option("--imbalance", panel="How to train", default="auto", show_default=True,
              type=click.Choice(["auto", "none", "weights", "sampler", "logits"]),
              help="What to do where classes differ in size; auto decides, "
              "and says so.")  # fmt: skip
@click.option("--augment", type=click.Choice(["none", "light", "standard", "strong"]),
              panel="How to train", help="How much pictures are changed while the network learns. "
              "Default: the preset's.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True,
              metavar="N", panel="How to train",
              help="The same seed gives the same model on a CPU.")  # fmt: skip
@click.option("--config", type=Place(), metavar="FILE.toml",
              panel="How to train", help="Every other knob: docs/training.md.")  # fmt: skip
@click.option("--keep-best", is_flag=True, panel="How to train",
              help="Should it be cancelled, keep the files of the best so far.")  # fmt: skip
@click.option("--val", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.15,
              show_default=True, metavar="FRACTION", panel="The pictures",
              help="Share that chooses the model.")  # fmt: skip
@click.option("--test", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.15,
              show_default=True, metavar="FRACTION", panel="The pictures",
              help="Share that judges it, once, at the end.")  # fmt: skip
@click.option("--group-by", metavar="REGEX|COLUMN", panel="The pictures",
              help="Keep pictures together that belong together: by what matches in their path, "
              "or by a column of the manifest.")  # fmt: skip
@click.option("--by-reference", is_flag=True, panel="The pictures",
              help="The server reads PATH itself; it sees the same path.")  # fmt: skip
@job_options("The job")
@waiting_options
@report_option
@pass_invocation
def command(invocation: Invocation, /, path: str, **options: Any) -> int:
    """Train a model on a labelled folder and register it.

    PATH holds a folder of pictures for each class, or train, val and test folders of such; or it
    is a manifest beside the pictures: a .csv or .jsonl file with path and label, and split and
    group if you like. root:NAME/relative/path names either under a root that the server knows.

    The model is judged on pictures that it never learned from. On a terminal the job is followed;
    elsewhere its id is printed. Ctrl-C stops following and never cancels. Exit codes: 0 trained,
    7 the job failed, 8 still running at --timeout, 9 cancelled, 130 Ctrl-C.
    """
    found = find_labelled(path)
    check_labelled(found, command=("imgq", "train", "{}"), least=LEAST_CLASSES)
    body = _body(found, options)
    check_text(body, "A name, tag, model, expression, root, knob or the manifest's name")
    try:
        return submit_training(invocation, found, body, options)
    except CliError as error:
        raise told_of_file(error, options["config"]) from error


def _body(found: Labelled, options: dict[str, Any]) -> dict[str, Any]:
    sent = {name: options[name] for name in SENT_OPTIONS}
    return {
        "kind": "train",
        "options": {
            "name": model_name(found, options["name"]),
            "manifest": found.manifest,
            "max_seconds": options["max_seconds"],
            "config": read_config(options["config"]),
            **sent,
        },
    }
