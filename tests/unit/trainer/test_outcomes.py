import subprocess
import sys

from imgq_trainer.outcomes import Code

CODES = """empty_file not_an_image truncated corrupt too_large unreadable vanished changed
outside_root not_regular_file unsupported_format read_timeout decode_timeout out_of_memory
worker_crash to_do"""


def test_the_list_of_codes_is_closed() -> None:
    assert [code.value for code in Code] == CODES.split()


def test_outcomes_are_importable_without_torch() -> None:
    program = "import sys, imgq_trainer.outcomes; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
