"""Write the list of knobs into its page: `python -m imgq_trainer.training.reference FILE`."""

import re
import sys
from pathlib import Path

from imgq_trainer.training.config import Config, to_toml

_BLOCK = re.compile(r"```toml\n.*?```", re.DOTALL)


def main(page: Path) -> None:
    block = f"```toml\n{to_toml(Config())}```"
    page.write_text(_BLOCK.sub(lambda found: block, page.read_text(), count=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
