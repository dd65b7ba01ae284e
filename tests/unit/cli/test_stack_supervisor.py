"""Starting dead children again: when, how often, and what is said."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgq_cli.stack.backoff import LONGEST_DELAY_SECONDS, RECOVERED_SECONDS, Backoff
from imgq_cli.stack.supervisor import StateKeeper, Watch, how_it_ended


class FakeChild:
    """A child whose ends are written down beforehand; None: it runs."""

    name = "api"
    log = Path("/logs/api.log")

    def __init__(self, code: int | None, refuses: bool = False) -> None:
        self.code = code
        self.refuses = refuses
        self.starts = 0

    def exit_code(self) -> int | None:
        return self.code

    def restart(self) -> None:
        self.starts += 1
        if self.refuses:
            raise OSError("no such program")

    def last_lines(self) -> str:
        return "its last words"


class Bench:
    """A watch with a clock that is moved by hand."""

    def __init__(self, child: FakeChild) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.watch = Watch(child, self.said.append, lambda: self.now)

    def look_at(self, *moments: float) -> list[str]:
        for self.now in moments:
            self.watch.look()
        return self.said


def test_a_running_child_is_left_alone() -> None:
    child = FakeChild(None)
    assert (Bench(child).look_at(1, 2, 3), child.starts) == ([], 0)


def test_a_dead_child_is_started_again_after_a_pause() -> None:
    child = FakeChild(-9)
    bench = Bench(child)
    assert bench.look_at(10, 10.4) == ["api stopped (signal 9); next start in 0.5 s."]
    assert (bench.look_at(10.5)[1:], child.starts) == (["api was started again."], 1)


def test_the_third_death_in_a_row_shows_the_log() -> None:
    said = Bench(FakeChild(1)).look_at(0, 0.5, 0.6, 1.6, 1.7)
    assert [text for text in said if "next start" in text] == [
        "api stopped (exit 1); next start in 0.5 s.",
        "api stopped (exit 1) 2 times in a row; next start in 1 s.",
        "api stopped (exit 1) 3 times in a row; next start in 2 s. "
        "The last lines of /logs/api.log:\nits last words",
    ]


def test_a_child_that_cannot_be_started_is_tried_again_later() -> None:
    child = FakeChild(1, refuses=True)
    said = Bench(child).look_at(0, 0.5, 1.0, 1.5)
    assert child.starts == 2
    assert said[1] == (
        "api could not be started again: no such program 2 times in a row; next start in 1 s."
    )


def test_a_state_that_cannot_be_written_is_said_once_and_once_more_when_it_is() -> None:
    fault = OSError(28, "No space left on device")
    outcomes: list[OSError | None] = [None, fault, fault, None, None]
    said: list[str] = []
    keeper = StateKeeper(lambda: outcomes.pop(0), said.append)
    while outcomes:
        keeper.look()
    assert said == [
        "The state file cannot be written: No space left on device. "
        "The stack goes on, and the file is tried again.",
        "The state file is written again.",
    ]


@given(st.integers(min_value=1, max_value=10_000))
def test_the_pause_grows_up_to_a_cap(failures: int) -> None:
    now, later = Backoff(failures), Backoff(failures).after_death(0)
    assert 0 < now.delay_seconds <= later.delay_seconds <= LONGEST_DELAY_SECONDS


def test_a_child_that_lived_long_starts_counting_anew() -> None:
    assert Backoff(9).after_death(RECOVERED_SECONDS) == Backoff(1)


@pytest.mark.parametrize(("code", "words"), [(0, "exit 0"), (3, "exit 3"), (-15, "signal 15")])
def test_an_exit_code_is_told_in_words(code: int, words: str) -> None:
    assert how_it_ended(code) == words
