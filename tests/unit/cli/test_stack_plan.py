"""What the children are told, and what the user is."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from imgq_cli.stack import server_checks
from imgq_cli.stack.checks import Level, check_disk, check_extra, check_home, check_stack
from imgq_cli.stack.detached import retold
from imgq_cli.stack.errors import ExtraMissing
from imgq_cli.stack.home import Home
from imgq_cli.stack.panel import panel_rows, state_document
from imgq_cli.stack.plan import child_environment, imgq_children
from imgq_cli.stack.probe import Answer
from imgq_cli.stack.processes import ProcessRecord
from imgq_cli.stack.services import Services
from imgq_cli.stack.state import State, StateFile
from imgq_cli.stack.stop_signals import stop_signals


@pytest.fixture
def running(tmp_path: Path) -> Services:
    """Services that are said to run."""
    home = Home(tmp_path, tmp_path)
    return Services(
        "postgresql://db", "redis://queue", home, StateFile(home.state, State()), 99, ()
    )


def test_children_are_told_of_this_stack_and_no_other(running: Services) -> None:
    users = {"PATH": "/bin", "IMGQ_SERVER": "http://other", "DATABASE_URL": "postgresql://other"}
    env = child_environment(running, port=8765, workers=1, base=users)
    assert env == {
        "PATH": "/bin",
        "IMGQ_DATABASE_URL": "postgresql://db",
        "IMGQ_REDIS_URL": "redis://queue",
        "IMGQ_DATA_DIR": str(running.home.data),
        "IMGQ_HOME": str(running.home.folder),
        "IMGQ_HOST": "127.0.0.1",
        "IMGQ_PORT": "8765",
        "IMGQ_LOCAL_FILES": "true",
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",
    }


def test_several_workers_share_the_cores(
    running: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    base = {"IMGQ_DECODE_THREADS": "1"}
    env = child_environment(running, port=1, workers=3, base=base)
    assert (env["IMGQ_TORCH_THREADS"], env["IMGQ_DECODE_THREADS"]) == ("2", "1")


def test_the_children_of_a_stack_in_the_order_they_start() -> None:
    specs = imgq_children({}, url="http://127.0.0.1:1", key="k", workers=2)
    assert [spec.name for spec in specs] == ["api", "reconciler", "worker-1", "worker-2", "trainer"]
    assert specs[-2].argv[1:] == ("-m", "imgq_workers", "worker", "--name", "worker-2")
    assert specs[-1].argv[1:] == ("-m", "imgq_workers", "trainer", "--name", "trainer")


def test_a_child_shows_no_environment_when_it_is_printed() -> None:
    specs = imgq_children({"IMGQ_DATABASE_URL": "hush"}, url="http://x", key="hush", workers=0)
    assert "hush" not in repr([(spec.name, spec.argv, spec) for spec in specs])


def test_the_panel_says_how_to_reach_a_home_of_ones_own(running: Services) -> None:
    home = Home(Path("/tmp/d'été"), Path("/tmp/d'été"))
    state = State(url="http://127.0.0.1:1", processes=(ProcessRecord("worker-1", 1, 1.0, ""),))
    rows = dict(panel_rows(state, home, detached=True))
    assert rows["Next"] == """IMGQ_HOME='/tmp/d'"'"'été' imgq submit-folder ./images"""
    assert rows["Stop"] == """imgq down --home '/tmp/d'"'"'été'"""
    assert state_document(state, home)["workers"] == 1


def test_a_detached_failure_is_told_as_ones_own() -> None:
    error = retold("Starting …\nError: The disk is full.\nTry: free some space\n", 1)
    assert (error.message, error.hint, error.exit_code) == (
        "The disk is full.",
        "free some space",
        1,
    )


def test_a_detached_failure_that_names_an_error_is_told_whole() -> None:
    assert retold("Error: It failed (ImportError: no x).", 1).message == (
        "It failed (ImportError: no x)."
    )


def test_a_detached_crash_keeps_its_words() -> None:
    assert "Segmentation fault" in retold("Segmentation fault", -11).message


def test_signals_are_counted_and_then_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_signals() as signals:
        assert not signals.asked()
        signal.raise_signal(signal.SIGTERM)
        assert (signals.asked(), signals.hurried()) == (True, False)
        signal.raise_signal(signal.SIGINT)
        assert signals.hurried()
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_missing_extra_is_named_with_its_command() -> None:
    error = ExtraMissing("torch")
    assert (error.message, error.hint) == (
        "The local stack needs torch, which this installation does not have.",
        "pip install 'imgq[worker,local]'",
    )


def test_the_doctor_warns_of_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgq_cli.stack.checks.find_spec", lambda name: None)
    check = check_extra("parquet")
    assert (check.level, check.hint) == (Level.WARNING, "pip install 'imgq[parquet]'")


def test_the_doctor_looks_at_the_place_of_a_home_that_is_not_made(tmp_path: Path) -> None:
    assert check_home(tmp_path / "a" / "b").level == Level.OK
    (tmp_path / "file").write_text("")
    assert check_home(tmp_path / "file").level == Level.FAILED


@pytest.mark.parametrize(
    ("free", "level"),
    [(5_000_000_000, Level.OK), (500_000_000, Level.WARNING), (1_000_000, Level.FAILED)],
)
def test_the_doctor_measures_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert check_disk(tmp_path).level == level


def test_the_doctor_says_that_no_stack_is_up(tmp_path: Path) -> None:
    check = check_stack(Home(tmp_path, tmp_path))
    assert (check.level, check.text, check.hint) == (Level.WARNING, "not up", "imgq up")


NOW = datetime(2026, 11, 1, 10, 0, 0, tzinfo=UTC)
NOW_HEADER = "Sun, 01 Nov 2026 10:00:00 GMT"


def worker(seconds_ago: float) -> dict[str, str]:
    return {"device": "cpu", "seen_at": (NOW - timedelta(seconds=seconds_ago)).isoformat()}


@pytest.mark.parametrize(
    ("ages", "level", "text"),
    [
        ((1, 14), Level.OK, "2 on cpu"),
        ((1, 16, 59), Level.WARNING, "1 on cpu, 2 silent"),
        ((16, 59), Level.WARNING, "2, all silent: jobs wait"),
    ],
)
def test_the_doctor_counts_the_workers_that_still_beat(
    monkeypatch: pytest.MonkeyPatch, ages: tuple[float, ...], level: Level, text: str
) -> None:
    workers = Answer(200, {"items": [worker(age) for age in ages]}, NOW_HEADER)
    monkeypatch.setattr(
        server_checks,
        "ask",
        lambda url, key=None: workers if url.endswith("workers") else Answer(200, None),
    )
    *_, check, trainer = server_checks.server_checks("http://server", None)
    assert (trainer.name, trainer.text) == ("Trainer", "none: train jobs wait")
    assert (check.name, check.level, check.text) == ("Workers", level, text)


def doctor_on(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Answer]) -> dict[str, Level]:
    def ask(url: str, key: str | None = None) -> Answer:
        return answers[url.removeprefix("http://server")]

    monkeypatch.setattr(server_checks, "ask", ask)
    found = server_checks.server_checks("http://server", "secret-key")
    assert "secret-key" not in repr(found)
    return {check.name: check.level for check in found}


def test_the_doctor_asks_a_healthy_server(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = doctor_on(
        monkeypatch,
        {
            "/healthz": Answer(200, {"status": "ok"}),
            "/readyz": Answer(200, {"status": "ready", "redis": True}),
            "/v1/workers": Answer(
                200, {"items": [worker(14), {**worker(1), "queue": "train"}]}, NOW_HEADER
            ),
        },
    )
    names = ("Server", "Database", "Queue", "Key", "Workers", "Trainer")
    assert levels == dict.fromkeys(names, Level.OK)


def test_the_doctor_finds_each_fault_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = doctor_on(
        monkeypatch,
        {
            "/healthz": Answer(200, None, "Mon, 01 Jan 2024 00:00:00 GMT"),
            "/readyz": Answer(503, {"detail": "The schema is outdated."}),
            "/v1/workers": Answer(401, {}),
        },
    )
    assert levels == {
        "Server": Level.OK,
        "Clock": Level.WARNING,
        "Database": Level.FAILED,
        "Key": Level.FAILED,
    }


def test_the_doctor_warns_of_a_dead_queue_and_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = doctor_on(
        monkeypatch,
        {
            "/healthz": Answer(200, None),
            "/readyz": Answer(200, {"status": "ready", "redis": False}),
            "/v1/workers": Answer(200, {"items": []}),
        },
    )
    assert levels["Queue"] == levels["Workers"] == Level.WARNING


def test_another_program_on_the_port_is_not_taken_for_imgq(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor_on(monkeypatch, {"/healthz": Answer(404, None)}) == {"Server": Level.FAILED}
