"""Known files: one whose stamp is unchanged since it was read is not read again."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from sqlalchemy import Engine, text

from imgq_db.forgetting import TODAY, CacheTable, bytea_array, forget_unused, mark_used

#: A write through a mapping shows in a file's times only when the system writes the page back: on
#: Linux within 35 s (vm.dirty_expire_centisecs and vm.dirty_writeback_centisecs). It is also more
#: than the coarsest clock of a file system (2 s on FAT), within which two writes look like one.
SETTLED_NS = 60_000_000_000
_INT64 = range(-(1 << 63), 1 << 63)
_FILES = CacheTable("known_file", "path_hash = ANY(CAST(:keys AS bytea[]))", row_bytes=116)
_STAMP = "size_bytes, mtime_ns, ctime_ns, inode"


class FileStamp(NamedTuple):
    """What changes when a file's bytes do, as `os.stat` tells it.

    ctime_ns: nobody can set it, other than mtime. inode: another file may have been moved here.
    """

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int  # unsigned, 64 bit


def is_settled(stamp: FileStamp, now_ns: int) -> bool:
    """Tell whether a write after `now_ns` must leave another stamp.

    now_ns: `time.time_ns()` from before the stamp was taken. A file that was written a moment
    ago may be written again within the same tick of its file system's clock.
    """
    return max(stamp.mtime_ns, stamp.ctime_ns) <= now_ns - SETTLED_NS


def known_files(
    engine: Engine, place: bytes, names: Sequence[bytes]
) -> dict[bytes, tuple[FileStamp, bytes]]:
    """Return stamp and digest of the files that are known. The caller compares the stamps.

    place: see `sources.source_place`. names: paths below it.
    """
    if not names:
        return {}
    wanted = {_path_hash(place, name): name for name in names}
    with engine.begin() as connection:
        rows = connection.execute(
            text(
                f"SELECT path_hash, digest, used_on < {TODAY}, {_STAMP}"
                f" FROM known_file WHERE {_FILES.key}"
            ),
            {"keys": bytea_array(wanted)},
        ).all()
        if stale := [bytes(row[0]) for row in rows if row[2]]:
            mark_used(connection, _FILES, stale)
    return {
        wanted[bytes(path_hash)]: (FileStamp(size, mtime, ctime, inode % (1 << 64)), bytes(digest))
        for path_hash, digest, _, size, mtime, ctime, inode in rows
    }


def remember_files(
    engine: Engine, place: bytes, files: Mapping[bytes, tuple[FileStamp, bytes]]
) -> None:
    """Keep stamp and digest of files that were read, in place of what was known of them.

    Give it settled files only (`is_settled`), each with the stamp from before it was read. Files
    with a time that 64 bits of nanoseconds cannot hold are left out.
    """
    rows = sorted(
        (_path_hash(place, name), digest, *stamp[:3], _signed(stamp.inode))
        for name, (stamp, digest) in files.items()
        if stamp.mtime_ns in _INT64 and stamp.ctime_ns in _INT64
    )
    if not rows:
        return
    hashes, digests, *numbers = zip(*rows, strict=True)
    with engine.begin() as connection:
        connection.execute(
            text(
                f"INSERT INTO known_file AS known (path_hash, digest, {_STAMP}, used_on)"
                f" SELECT path_hash, digest, {_STAMP}, {TODAY}"
                " FROM unnest(CAST(:hashes AS bytea[]), CAST(:digests AS bytea[]),"
                " CAST(:numbers_0 AS bigint[]), CAST(:numbers_1 AS bigint[]),"
                " CAST(:numbers_2 AS bigint[]), CAST(:numbers_3 AS bigint[]))"
                f" AS new(path_hash, digest, {_STAMP})"
                " ON CONFLICT (path_hash) DO UPDATE SET digest = excluded.digest,"
                " size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns,"
                " ctime_ns = excluded.ctime_ns, inode = excluded.inode, used_on = excluded.used_on"
                " WHERE (known.size_bytes, known.mtime_ns, known.ctime_ns, known.inode,"
                " known.digest) IS DISTINCT FROM (excluded.size_bytes, excluded.mtime_ns,"
                " excluded.ctime_ns, excluded.inode, excluded.digest)"
            ),
            {
                "hashes": bytea_array(hashes),
                "digests": bytea_array(digests),
                **{f"numbers_{at}": _bigint_array(each) for at, each in enumerate(numbers)},
            },
        )


def purge_known_files(engine: Engine, *, rows_kept: int) -> int:
    """Forget a batch of the files used longest ago; return how many. 0: under the cap."""
    return forget_unused(engine, _FILES, rows_kept=rows_kept)


def _path_hash(place: bytes, name: bytes) -> bytes:
    return blake2b(place + b"/" + name, digest_size=16).digest()


def _bigint_array(values: Iterable[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def _signed(inode: int) -> int:
    return inode - (1 << 64) if inode >= 1 << 63 else inode
