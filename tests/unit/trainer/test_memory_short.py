"""Pictures that a process has no memory for: an outcome, and the process lives."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

#: It decodes a picture with so little memory to spare that its pixels cannot be had, then another.
DECODE = """
import resource, sys
from pathlib import Path
from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.file_pixels import Decoder
from imgq_trainer.memory import MemoryBudget
from imgq_trainer.outcomes import Rejection

how = Preprocessing(
    resize=32, crop=32, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3
)
decoder = Decoder(how, True, 200_000_000, MemoryBudget(1 << 40))
large, small = (Path(name).read_bytes() for name in sys.argv[1:3])
assert not isinstance(decoder.pixels(small, b"small.png"), Rejection)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
rejected = decoder.pixels(large, b"large")
assert not isinstance(decoder.pixels(small, b"small.png"), Rejection)
print(rejected.code, rejected.detail)
"""

#: It decodes a picture with ever more memory to spare, by either way, until it can be resized.
RESIZE = """
import gc, resource, sys
from pathlib import Path
from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.file_pixels import Decoder
from imgq_trainer.memory import MemoryBudget
from imgq_trainer.outcomes import Rejection

how = Preprocessing(
    resize=2048, crop=2048, interpolation="bicubic", mean=(0.0,) * 3, std=(1.0,) * 3
)
decoder = Decoder(how, True, 200_000_000, MemoryBudget(1 << 40))
picture, small = (Path(name).read_bytes() for name in sys.argv[1:3])
details = set()
for decode in (decoder.pixels, decoder.exact_pixels):
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert not isinstance(decode(small, b"small.jpg"), Rejection)
    gc.collect()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for room in range(2, 60, 2):
        resource.setrlimit(resource.RLIMIT_AS, (used + (room << 20), resource.RLIM_INFINITY))
        found = decode(picture, b"picture.jpg")
        details |= {(found.code, found.detail)} if isinstance(found, Rejection) else set()
for code, detail in details:
    print(code, detail)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by Linux")
@pytest.mark.parametrize("name", ["large.png", "large.jpg"])
def test_a_picture_without_memory_fails_and_the_next_one_does_not(
    tmp_path: Path, name: str
) -> None:
    assert resource.RLIMIT_AS
    Image.new("L", (9000, 9000)).save(tmp_path / name)
    Image.new("RGB", (40, 40), "red").save(tmp_path / "small.png")
    command = [sys.executable, "-c", DECODE, str(tmp_path / name), str(tmp_path / "small.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "out_of_memory there was no memory to decode it\n"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by Linux")
def test_a_picture_that_cannot_be_resized_for_want_of_memory_fails(tmp_path: Path) -> None:
    Image.effect_noise((1200, 1200), 64).convert("RGB").save(tmp_path / "picture.jpg")
    Image.new("RGB", (64, 64)).save(tmp_path / "small.jpg")
    command = [sys.executable, "-c", RESIZE, str(tmp_path / "picture.jpg")]
    command.append(str(tmp_path / "small.jpg"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    why = {line.removeprefix("out_of_memory ") for line in done.stdout.splitlines()}
    words = {"there was no memory to resize it", "there was no memory to decode it"}
    assert {"there was no memory to resize it"} <= why <= words
