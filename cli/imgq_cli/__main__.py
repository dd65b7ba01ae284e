"""The program `imgq`, and `python -m imgq_cli`: a Ctrl-C is quiet even while it is imported."""

import sys


def main() -> None:
    """Run `imgq`; it ends by SystemExit."""
    try:
        from imgq_cli.main import main as run

        run()
    except KeyboardInterrupt:
        from imgq_cli.exits import Exit

        sys.stderr.write("Interrupted.\n")
        sys.exit(Exit.INTERRUPTED)


if __name__ == "__main__":
    main()
