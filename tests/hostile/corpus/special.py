"""What a folder can hold besides files: links, pipes, sockets, devices, what may not be read."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from stat import S_IFCHR

from tests.hostile.corpus.encoding import encoded

OUTSIDE = "skipped outside_root"
VANISHED = "failed vanished"
UNREADABLE = "failed unreadable"
NOT_REGULAR = "failed not_regular_file"


@dataclass(frozen=True, slots=True)
class Special:
    """Something that is put into a folder. outcomes: by path below it; none: it yields nothing."""

    make: Callable[[Path], None]
    outcomes: dict[str, str]


def specials(outside: Path) -> list[Special]:
    """Return them all. outside: a folder that nobody was given, with a picture called secret.jpg.

    A device needs root; without it there is none.
    """
    (outside / "secret.jpg").write_bytes(encoded("JPEG"))
    found = [
        Special(_link("inside.jpg", "real.jpg"), {"inside.jpg": "ok"}),
        Special(_link("escape.jpg", outside / "secret.jpg"), {"escape.jpg": OUTSIDE}),
        Special(_link("passwd.jpg", "/etc/passwd"), {"passwd.jpg": OUTSIDE}),
        Special(_link("environ.jpg", "/proc/self/environ"), {"environ.jpg": OUTSIDE}),
        Special(_link("dangling.jpg", "nowhere.jpg"), {"dangling.jpg": VANISHED}),
        Special(_link("loop.jpg", "loop.jpg"), {"loop.jpg": UNREADABLE}),
        Special(_link("there.jpg", "back.jpg"), {"there.jpg": UNREADABLE}),
        Special(_link("back.jpg", "there.jpg"), {"back.jpg": UNREADABLE}),
        Special(_link("up", ".."), {}),
        Special(_link("out", outside), {}),
        Special(_link("circle", "."), {}),
        Special(lambda at: os.mkfifo(at / "pipe.jpg"), {"pipe.jpg": NOT_REGULAR}),
        Special(_socket, {"socket.jpg": NOT_REGULAR}),
        Special(_folder, {"folder.jpg/inner.jpg": "ok"}),
        Special(_unreadable, {"unreadable.jpg": UNREADABLE}),
        Special(_closed, {"closed/": UNREADABLE}),
    ]
    if os.geteuid() == 0:
        found.append(Special(_device, {"device.jpg": NOT_REGULAR}))
    return found


def fill(folder: Path, outside: Path) -> dict[str, str]:
    """Put them all into a folder; return what must become of each."""
    folder.mkdir()
    (folder / "real.jpg").write_bytes(encoded("JPEG"))
    outcomes = {"real.jpg": "ok"}
    for special in specials(outside):
        special.make(folder)
        outcomes |= special.outcomes
    return {f"{folder.name}/{path}": outcome for path, outcome in outcomes.items()}


def _link(name: str, target: str | Path) -> Callable[[Path], None]:
    return lambda at: (at / name).symlink_to(target)


def _socket(at: Path) -> None:
    # A socket's path must be short: it is bound below the folder's descriptor.
    fd = os.open(at, os.O_RDONLY | os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{fd}/socket.jpg")
    os.close(fd)


def _folder(at: Path) -> None:
    (at / "folder.jpg").mkdir()
    (at / "folder.jpg" / "inner.jpg").write_bytes(encoded("JPEG"))


def _unreadable(at: Path) -> None:
    (at / "unreadable.jpg").write_bytes(encoded("JPEG"))
    (at / "unreadable.jpg").chmod(0)


def _closed(at: Path) -> None:
    (at / "closed").mkdir()
    (at / "closed" / "inner.jpg").write_bytes(encoded("JPEG"))
    (at / "closed").chmod(0)


def _device(at: Path) -> None:
    os.mknod(at / "device.jpg", S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero: it never ends
