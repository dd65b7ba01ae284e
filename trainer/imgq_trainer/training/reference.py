"""Write the list of knobs into its page, and what they may be into a file:
`python -m imgq_trainer.training.reference PAGE TABLE`."""

import re
import sys
from pathlib import Path

from imgq_trainer.training.config import Config, to_toml
from imgq_trainer.training.knob_table import write_table

_BLOCK = re.compile(r"```toml\n.*?```", re.DOTALL)


def main(page: Path, table: Path) -> None:
    block = f"```toml\n{to_toml(Config())}```"
    page.write_text(_BLOCK.sub(lambda found: block, page.read_text(), count=1))
    table.write_text(write_table())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
