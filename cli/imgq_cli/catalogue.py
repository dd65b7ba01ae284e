"""The commands of `imgq`: names, modules and summaries, so that help loads none of them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import rich_click as click

from imgq_cli.invocation import add_common_options


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: its module in imgq_cli.commands, and the first line of its help."""

    name: str
    panel: str
    summary: str

    @property
    def module(self) -> str:
        return "imgq_cli.commands." + self.name.replace("-", "_")


LABEL, TRAIN, LOOK, ACT, OPERATE, SERVE = (
    "Label pictures",
    "Train models",
    "Look at jobs",
    "Act on jobs",
    "Set up and operate",
    "Run one process",
)

CATALOGUE = (
    Entry("submit-folder", LABEL, "Label every picture of a folder."),
    Entry("results", LABEL, "Show or download the labels of a job."),
    Entry("sort", LABEL, "Put the pictures of a job into one folder for each label."),
    Entry("diff", LABEL, "Show which labels changed between two jobs."),
    Entry("train", TRAIN, "Train a model on a labelled folder and register it."),
    Entry("evaluate", TRAIN, "Judge a model on a labelled folder."),
    Entry("jobs", LOOK, "List the jobs, newest first."),
    Entry("status", LOOK, "Show one job."),
    Entry("watch", LOOK, "Follow a job until it ends."),
    Entry("why", LOOK, "Tell in words why a job waits or failed, and what happens now."),
    Entry("cancel", ACT, "Cancel a job; what is labelled already stays."),
    Entry("retry", ACT, "Run a job again, as a new job."),
    Entry("delete", ACT, "Delete a job that has ended, and its results."),
    Entry("up", OPERATE, "Start Postgres, Valkey, the API and the workers on this machine."),
    Entry("down", OPERATE, "Stop the local stack."),
    Entry("doctor", OPERATE, "Check what this machine, the local stack and the server lack."),
    Entry("models", OPERATE, "List, show, promote, export, import and delete models."),
    Entry("verify-job", OPERATE, "Check a job's ledger against its promises."),
    Entry("workers", OPERATE, "Show the workers and what they do."),
    Entry("keys", OPERATE, "List, create and revoke API keys."),
    Entry("config", OPERATE, "Show the settings and where they come from."),
    Entry("completion", OPERATE, "Print the completion script of a shell."),
    Entry("api", SERVE, "Run the REST server."),
    Entry("worker", SERVE, "Run a worker."),
    Entry("trainer", SERVE, "Run a trainer."),
    Entry("reconciler", SERVE, "Run the reconciler."),
    Entry("db", SERVE, "Bring the database up to date."),
)


class LazyCommand(click.RichCommand):
    """A command that is imported when it is called, not when it is listed."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(name=entry.name, help=entry.summary, panel=entry.panel)
        self.entry = entry

    def load(self) -> click.Command:
        """Import the command and give it the common options."""
        command: click.Command = importlib.import_module(self.entry.module).command
        add_common_options(command)
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.RichContext:
        """Parse the arguments with the real command, which then is the context's command."""
        context = self.load().make_context(info_name, args, parent=parent, **extra)
        assert isinstance(context, click.RichContext)
        return context
