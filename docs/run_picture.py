"""Draw docs/run.svg from a real run: a folder of pictures is submitted on the running stack.

python docs/run_picture.py FOLDER > docs/run.svg
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 84


def main() -> None:
    """Run the commands, and print what they printed as one SVG."""
    folder = sys.argv[1]
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: PTH123, SIM115
    for words in (
        ["submit-folder", folder, "--wait", "--timeout", "10m"],
        ["results", "last", "--format", "table", "--status", "failed"],
    ):
        shown = "./images" if folder in words else ""
        typed = " ".join(shown if word == folder else word for word in words)
        typed = typed.removesuffix(" --wait --timeout 10m")
        console.print(Text.assemble(("$ ", "green"), (f"imgq {typed}", "bold")))
        console.print(Text.from_ansi(run(words)))
    svg = console.export_svg(title="imgq")
    # The picture must not fetch fonts when somebody looks at it.
    sys.stdout.write(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


def run(words: list[str]) -> str:
    """Return what a command shows, in colour."""
    imgq = str(Path(sys.executable).with_name("imgq"))
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    done = subprocess.run(  # noqa: S603 - our own command
        [imgq, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    # Of the progress lines only one is shown.
    return "\n".join(line for line in lines if not re.match(r"^[0-9a-f]{8}-[0-9a-f-]{27}$", line))


if __name__ == "__main__":
    main()
