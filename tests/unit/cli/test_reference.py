"""docs/cli.md is what the commands say."""

from pathlib import Path

from imgq_cli.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == reference(), "python -m imgq_cli.reference > docs/cli.md"
