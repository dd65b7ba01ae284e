"""docs/cli.md is what the commands say."""

from pathlib import Path

from imgq_cli.exits import Exit
from imgq_cli.reference import MEANING_OF_EXIT, reference

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == reference(), "python -m imgq_cli.reference > docs/cli.md"


def test_a_conflict_is_the_first_that_exit_1_stands_for() -> None:
    assert MEANING_OF_EXIT[Exit.CONFLICT].startswith("a conflict")
