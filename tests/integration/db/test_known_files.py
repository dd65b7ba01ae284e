"""Files that need not be read again: known by place, name and stamp."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from imgq_db.known_files import FileStamp, known_files, remember_files
from imgq_db.sources import source_place

PLACE = source_place("file:///photos")
STAMP = FileStamp(10, 20, 30, 40)
DIGEST, OTHER = b"\1" * 32, b"\2" * 32
DAY_SECONDS = 86_400

int64 = st.integers(-(1 << 63), (1 << 63) - 1)
stamps = st.builds(
    FileStamp, st.integers(0, (1 << 63) - 1), int64, int64, st.integers(0, (1 << 64) - 1)
)
names = st.binary(min_size=1).filter(lambda name: b"\0" not in name)
digests = st.binary(min_size=32, max_size=32)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(names, st.tuples(stamps, digests), min_size=1))
def test_whatever_is_remembered_is_known(
    engine: Engine, files: dict[bytes, tuple[FileStamp, bytes]]
) -> None:
    remember_files(engine, PLACE, files)
    assert known_files(engine, PLACE, [*files, b"x\0never"]) == files


def test_nothing_asked_is_nothing_known(engine: Engine) -> None:
    remember_files(engine, PLACE, {})
    assert known_files(engine, PLACE, []) == {}


def test_a_changed_file_takes_the_old_ones_place(engine: Engine, count: Callable[..., int]) -> None:
    for changed in (
        (STAMP, DIGEST),
        (STAMP._replace(inode=41), DIGEST),
        (STAMP._replace(ctime_ns=31), OTHER),
        (STAMP, OTHER),
    ):
        remember_files(engine, PLACE, {b"a.jpg": changed})
        assert known_files(engine, PLACE, [b"a.jpg"]) == {b"a.jpg": changed}
    assert count("known_file") == 1


def test_a_file_that_is_the_same_is_not_written_again(engine: Engine) -> None:
    seen = []
    for _ in range(2):
        remember_files(engine, PLACE, {b"a.jpg": (STAMP, DIGEST)})
        with engine.connect() as connection:
            seen.append(connection.execute(text("SELECT ctid::text FROM known_file")).scalar_one())
    assert seen[0] == seen[1]


def test_a_file_is_known_in_a_folder_above_and_below(engine: Engine) -> None:
    remember_files(engine, PLACE, {b"2024/may/a.jpg": (STAMP, DIGEST)})
    below, beside = source_place("file:///photos/2024"), source_place("root:photos/2024")
    assert known_files(engine, below, [b"may/a.jpg"]) == {b"may/a.jpg": (STAMP, DIGEST)}
    assert known_files(engine, beside, [b"may/a.jpg"]) == {}


def test_a_time_beyond_64_bits_is_left_out_and_keeps_nothing_else_back(engine: Engine) -> None:
    far = STAMP._replace(mtime_ns=1 << 63)
    files = {b"far.jpg": (far, DIGEST), b"a.jpg": (STAMP, DIGEST)}
    remember_files(engine, PLACE, files)
    assert known_files(engine, PLACE, list(files)) == {b"a.jpg": (STAMP, DIGEST)}


def test_asking_writes_the_day_and_waits_for_nobody(
    engine: Engine, move_clock: Callable[[float], None], count: Callable[..., int]
) -> None:
    files = dict.fromkeys((b"a.jpg", b"b.jpg", b"c.jpg"), (STAMP, DIGEST))
    remember_files(engine, PLACE, files)
    move_clock(DAY_SECONDS)
    held = "SELECT 1 FROM known_file WHERE path_hash = (SELECT min(path_hash::text)::bytea"
    with engine.begin() as connection:
        connection.execute(text(f"{held} FROM known_file) FOR UPDATE"))
        assert known_files(engine, PLACE, list(files)) == files
    assert count("known_file WHERE used_on = imgq_now()::date") == 2
    assert known_files(engine, PLACE, list(files)) == files
    assert count("known_file WHERE used_on = imgq_now()::date") == 3


def test_workers_that_read_the_same_files_at_once_do_not_block_each_other(
    engine: Engine, count: Callable[..., int]
) -> None:
    files = [b"%d.jpg" % number for number in range(2_000)]
    start = Barrier(2)

    def run(order: int) -> None:
        start.wait()
        for size in range(5):
            stamp = STAMP._replace(size_bytes=size * order)
            remember_files(engine, PLACE, dict.fromkeys(files[::order], (stamp, DIGEST)))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, (1, -1)))
    assert count("known_file") == len(files)
