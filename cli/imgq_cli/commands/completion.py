"""`imgq completion`: the completion script of a shell."""

from __future__ import annotations

import rich_click as click
from click.shell_completion import get_completion_class

SHELLS = ["bash", "zsh", "fish"]


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    bash: eval "$(imgq completion bash)" in ~/.bashrc. zsh: the same with zsh in ~/.zshrc.
    fish: imgq completion fish > ~/.config/fish/completions/imgq.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "imgq", "_IMGQ_COMPLETE").source())
