"""The storm's small disk and memory groups, where this account may make them."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.storm.disks import small_disk
from tests.faults.storm.memory import memory_groups

EATS = "input(); taken = [b'x' * (16 << 20) for _ in range(100)]"


def test_a_full_disk_takes_nothing_until_it_is_freed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", keep=[]) as disk:
        if disk is None:
            pytest.skip("no tmpfs may be mounted here")
        (disk.place / "before").write_bytes(b"x" * 10_000)
        assert disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (disk.place / "full").write_bytes(b"x" * 10_000)
        assert disk.free()
        (disk.place / "after").write_bytes(b"x" * 10_000)
    assert list((tmp_path / "disk").iterdir()) == []


def test_what_lay_on_a_disk_is_kept_if_that_is_asked_for(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", keep=[True]) as disk:
        (tmp_path / "disk" / "log").write_text("all is well")
    assert disk is None or (tmp_path / "disk" / "log").read_text() == "all is well"


def test_the_kernel_kills_who_takes_more_than_its_group_may() -> None:
    with memory_groups(["eater"]) as groups:
        if not groups:
            pytest.skip("no control group of memory may be made here")
        eater = subprocess.Popen([sys.executable, "-c", EATS], stdin=subprocess.PIPE)
        groups["eater"].take(eater.pid)
        eater.communicate(b"\n")
        assert (eater.returncode, groups["eater"].kills()) == (-signal.SIGKILL, 1)
    assert not groups["eater"].folder.exists()
