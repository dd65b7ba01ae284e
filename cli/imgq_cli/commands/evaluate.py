"""`imgq evaluate`: a model against a labelled folder."""

from __future__ import annotations

from typing import Any

import rich_click as click

from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.labelled import check_labelled, find_labelled
from imgq_cli.submitting import check_text, job_options, waiting_options
from imgq_cli.train_submitting import report_option, submit_training


@click.command("evaluate")
@click.argument("path")
@click.option("--model", required=True, metavar="NAME[:V|@ALIAS]", panel="What to evaluate",
              help="The model that is judged.")  # fmt: skip
@click.option("--by-reference", is_flag=True, panel="What to evaluate",
              help="The server reads PATH itself; it sees the same path.")  # fmt: skip
@job_options("The job")
@waiting_options
@report_option
@pass_invocation
def command(invocation: Invocation, /, path: str, **options: Any) -> int:
    """Judge a model on a labelled folder.

    PATH holds a folder of pictures for each class, named like the model's labels, or is a manifest
    beside the pictures: a .csv or .jsonl file with path and label. Every picture counts, so it
    should be none that the model learned from.

    On a terminal the job is followed; elsewhere its id is printed. Exit codes are those of train.
    """
    found = find_labelled(path)
    typed = ("imgq", "evaluate", "{}", "--model", options["model"])
    check_labelled(found, command=typed, least=1)
    body = {
        "kind": "evaluate",
        "model": options["model"],
        "options": {"manifest": found.manifest},
    }
    check_text(body, "A tag, model, root or the manifest's name")
    return submit_training(invocation, found, body, options)
