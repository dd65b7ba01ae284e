"""`imgq up` and its kin: the real stack, and stacks of small children that misbehave."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from imgq_cli.stack.children import ChildSpec
from imgq_cli.stack.errors import PortTaken, ServerNotStarted, StartInterrupted
from imgq_cli.stack.home import Home
from imgq_cli.stack.ports import free_port, kept_port
from imgq_cli.stack.probe import Answer, ask, is_ready
from imgq_cli.stack.running import UpOptions, run_stack
from imgq_cli.stack.state import read_state
from imgq_cli.stack.stop_signals import StopSignals
from imgq_cli.stack.stopping import Stopped, stop_stack
from imgq_cli.stack.waiting import wait_until

NO_SERVERS = {"IMGQ_DATABASE_URL": "postgresql://db/imgq", "IMGQ_REDIS_URL": "redis://queue/0"}
SLEEP = "import time; time.sleep(600)"
SUPERVISE = """
import sys
from pathlib import Path
from imgq_cli.stack import spawning
from imgq_cli.stack.children import ChildSpec
from imgq_cli.stack.running import UpOptions, run_stack
from imgq_cli.stack.stop_signals import stop_signals
home, mode, code, database, queue = sys.argv[1:]
if mode == "orphans":  # as where the system cannot tie children to their parent
    spawning._death_notice = lambda number: None
spec = ChildSpec("sleeper", (sys.executable, "-c", code), code, {})
with stop_signals() as signals:
    run_stack(UpOptions(Path(home)), signals, lambda text: None,
        on_ready=lambda running: print(running.state.state.processes[0].pid, flush=True),
        plan=lambda running, port, say: [spec],
        environ={"IMGQ_DATABASE_URL": database, "IMGQ_REDIS_URL": queue})
"""


def imgq(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run `imgq` as a user would."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("imgq")), *arguments, "--home", str(home)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.fixture(scope="module")
def stack_home() -> Iterator[Path]:
    """The home of a real stack that runs in the background."""
    with tempfile.TemporaryDirectory(prefix="imgq-test-") as folder:
        Path(folder).chmod(0o711)
        home = Path(folder) / "mon foyer d'été"
        started = imgq("up", "--detach", home=home)
        assert started.returncode == 0, started.stderr
        yield home
        stopped = imgq("down", home=home)
        assert (stopped.returncode, (home / "state.json").exists()) == (0, False)
        again = imgq("down", home=home)
        assert (again.returncode, "Nothing is running" in again.stderr) == (0, True)


def url_of(home: Path) -> str:
    state = read_state(home / "state.json")
    assert state and state.url
    return state.url


def pid_of(home: Path, name: str) -> int:
    state = read_state(home / "state.json")
    assert state
    return next(record.pid for record in state.processes if record.name == name)


def workers(home: Path) -> Answer:
    return ask(f"{url_of(home)}/v1/workers", (home / "api-key").read_text().strip())


def test_the_stack_answers_to_the_key_that_it_made(stack_home: Path) -> None:
    assert is_ready(url_of(stack_home))
    assert workers(stack_home).status == 200
    assert len(workers(stack_home).body["items"]) >= 1
    assert ask(f"{url_of(stack_home)}/v1/workers").status == 401


def test_a_second_start_in_the_background_finds_the_first(stack_home: Path) -> None:
    again = imgq("up", "--detach", "--json", home=stack_home)
    assert (again.returncode, json.loads(again.stdout)["url"]) == (0, url_of(stack_home))


def test_a_second_start_in_the_foreground_is_refused_with_the_address(stack_home: Path) -> None:
    again = imgq("up", home=stack_home)
    assert again.returncode == 1
    assert f"Error: imgq is already up at {url_of(stack_home)}" in again.stderr
    assert "Try: " in again.stderr


def test_doctor_finds_nothing_broken_in_a_running_stack(stack_home: Path) -> None:
    report = imgq("doctor", "--json", home=stack_home)
    checks = json.loads(report.stdout)["checks"]
    assert report.returncode == 0
    assert [check for check in checks if check["level"] == "failed"] == []
    names = {"Stack", "Server", "Database", "Queue", "Key", "Workers"}
    assert names <= {check["name"] for check in checks if check["level"] == "ok"}


@pytest.mark.parametrize("name", ["reconciler", "postgres", "valkey"])
def test_a_killed_part_is_started_again(stack_home: Path, name: str) -> None:
    events, said = stack_home / "logs" / "events.log", f"{name} was started again."
    killed = pid_of(stack_home, name)
    os.kill(killed, signal.SIGKILL)
    assert wait_until(lambda: said in events.read_text(), timeout_seconds=20)
    assert pid_of(stack_home, name) != killed
    assert wait_until(lambda: is_ready(url_of(stack_home)), timeout_seconds=20)
    assert wait_until(lambda: workers(stack_home).status == 200, timeout_seconds=20)


def test_no_secret_is_readable_by_others_or_in_a_log(stack_home: Path) -> None:
    files = [stack_home / name for name in ("api-key", "secret", "state.json")]
    secrets = [file.read_text().strip() for file in files[:2]]
    logs = "".join(log.read_text(errors="replace") for log in (stack_home / "logs").iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert [secret for secret in secrets if secret in logs] == []


def python_child(name: str, code: str, **fields: object) -> ChildSpec:
    return ChildSpec(name, (sys.executable, "-c", code), code, dict(os.environ), **fields)  # type: ignore[arg-type]


def run_with(
    home: Path,
    specs: list[ChildSpec],
    hear: Callable[[str, StopSignals], None],
    *,
    stop_when_ready: bool = False,
) -> list[str]:
    """Run a stack of small children, hear() deciding when to stop; return what was said."""
    said: list[str] = []
    signals = StopSignals()

    def say(text: str) -> None:
        said.append(text)
        hear(text, signals)

    def on_ready(running: object) -> None:
        signals.count += stop_when_ready

    run_stack(
        UpOptions(home),
        signals,
        say,
        on_ready=on_ready,
        plan=lambda running, port, say: specs,
        environ=NO_SERVERS,
    )
    return said


def stop_at(word: str, count: int = 1) -> Callable[[str, StopSignals], None]:
    def hear(text: str, signals: StopSignals) -> None:
        if word in text:
            signals.count = count

    return hear


def test_groups_stop_in_the_reverse_order(tmp_path: Path) -> None:
    specs = [python_child(name, SLEEP, group=f"the {name}") for name in ("api", "workers")]
    said = run_with(tmp_path, specs, stop_at("nothing"), stop_when_ready=True)
    assert said[-2:] == ["Stopping the workers …", "Stopping the api …"]


def test_a_child_that_dies_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    code = "import sys, time; time.sleep(0.2); sys.exit('no such model')"
    said = run_with(tmp_path, [python_child("worker-1", code)], stop_at("no such model"))
    deaths = [text.partition(";")[0] for text in said if "next start" in text]
    assert deaths == [
        "worker-1 stopped (exit 1)",
        "worker-1 stopped (exit 1) 2 times in a row",
        "worker-1 stopped (exit 1) 3 times in a row",
    ]
    assert [text.count("was started again") for text in said].count(1) == 2


def test_a_child_that_will_not_stop_is_killed_when_the_user_insists(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    )
    log = tmp_path / "logs" / "stubborn.log"
    spec = python_child("stubborn", code, stop_seconds=600, ready=lambda: log.stat().st_size > 0)
    said = run_with(tmp_path, [spec], stop_at("Stopping stubborn", count=2), stop_when_ready=True)
    assert said[-1] == "stubborn did not stop in time and was killed."


def test_a_child_that_ends_while_starting_stops_the_start_with_its_log(tmp_path: Path) -> None:
    specs = [
        python_child("steady", SLEEP),
        python_child("broken", "raise SystemExit('port in use')", ready=lambda: False),
    ]
    with pytest.raises(ServerNotStarted, match=r"broken stopped while starting(.|\n)*port in use"):
        run_with(tmp_path, specs, stop_at("nothing"))
    assert stop_stack(tmp_path, print) == Stopped.NOTHING


def test_ctrl_c_while_starting_stops_what_was_started(tmp_path: Path) -> None:
    specs = [python_child("slow", SLEEP, ready=lambda: False)]
    with pytest.raises(StartInterrupted):
        run_with(tmp_path, specs, stop_at("Starting slow"))
    assert not (tmp_path / "state.json").exists()


@pytest.fixture
def supervised_by_another(tmp_path: Path) -> Iterator[Callable[[str], tuple[psutil.Process, ...]]]:
    """Starts a supervisor of one sleeping child in another process; returns both."""
    opened: list[subprocess.Popen[str]] = []

    def start(mode: str) -> tuple[psutil.Process, ...]:
        argv = [sys.executable, "-c", SUPERVISE, str(tmp_path), mode, SLEEP, *NO_SERVERS.values()]
        owner = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        opened.append(owner)
        assert owner.stdout
        child = int(owner.stdout.readline())
        return psutil.Process(owner.pid), psutil.Process(child)

    yield start
    for owner in opened:
        owner.kill()
        owner.communicate(timeout=10)


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties children to their parent")
def test_killing_the_supervisor_takes_its_children_down(
    supervised_by_another: Callable[[str], tuple[psutil.Process, ...]],
) -> None:
    owner, child = supervised_by_another("tied")
    owner.kill()
    assert wait_until(lambda: ended(child), timeout_seconds=10)


def test_down_stops_what_a_killed_supervisor_left(
    tmp_path: Path, supervised_by_another: Callable[[str], tuple[psutil.Process, ...]]
) -> None:
    owner, child = supervised_by_another("orphans")
    owner.kill()
    assert wait_until(lambda: ended(owner), timeout_seconds=10)
    assert not ended(child)
    assert stop_stack(tmp_path, print) == Stopped.ORPHANS
    assert ended(child)
    assert stop_stack(tmp_path, print) == Stopped.NOTHING


def test_down_ends_a_supervisor_with_its_children(
    tmp_path: Path, supervised_by_another: Callable[[str], tuple[psutil.Process, ...]]
) -> None:
    owner, child = supervised_by_another("tied")
    assert stop_stack(tmp_path, print) == Stopped.STACK
    assert (ended(owner), ended(child)) == (True, True)


def test_the_next_start_stops_what_a_killed_supervisor_left(
    tmp_path: Path, supervised_by_another: Callable[[str], tuple[psutil.Process, ...]]
) -> None:
    owner, child = supervised_by_another("orphans")
    owner.kill()
    assert wait_until(lambda: ended(owner), timeout_seconds=10)
    run_with(tmp_path, [python_child("new", SLEEP)], stop_at("nothing"), stop_when_ready=True)
    assert ended(child)


def test_a_recorded_number_that_a_stranger_has_now_is_left_alone(tmp_path: Path) -> None:
    run_with(tmp_path, [python_child("new", SLEEP)], stop_at("nothing"), stop_when_ready=True)
    with subprocess.Popen([sys.executable, "-c", SLEEP]) as stranger:
        record = {"name": "new", "pid": stranger.pid, "created": 1.0, "command": "python"}
        fields = {"status": "ready", "version": None, "url": None, "key_file": None}
        state = {**fields, "supervisor": None, "processes": [record]}
        state["started_at"] = "2026-01-01T00:00:00+00:00"
        Home(tmp_path, tmp_path).state.write_text(json.dumps(state))
        assert stop_stack(tmp_path, print) == Stopped.NOTHING
        assert stranger.poll() is None
        stranger.kill()


def test_a_port_is_kept_from_other_stacks_but_left_to_the_api() -> None:
    asked = free_port()
    with kept_port(asked) as port, socket.create_server(("127.0.0.1", port)):
        with pytest.raises(PortTaken, match=f"Port {port} "), kept_port(port):
            pytest.fail("two stacks have one port")
    with kept_port(asked) as again, kept_port(None) as other:
        assert (again, other != asked) == (asked, True)


def test_a_port_that_another_program_has_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(PortTaken), kept_port(server.getsockname()[1]):
            pytest.fail("it is taken")
