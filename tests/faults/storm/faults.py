"""How each kind of fault is done to a running stack."""

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Mapping

import psutil
import redis
from tests.faults.storm.forging import forgeries
from tests.faults.storm.members import Member
from tests.faults.storm.pictures import ENDLESS, GLUTTON, POISON
from tests.faults.storm.plan import Fault, Kind
from tests.faults.storm.points import Point
from tests.faults.storm.scene import Armed, Hit, Scene
from tests.faults.storm.stack import LEASE_SECONDS
from tests.faults.storm.witness import set_clock

from imgq_db.queue import CLASSIFY, LIST, TRAIN, make_ring

#: How long what lasts lasts: from a blink to well past the lease.
STOPPED_SECONDS = 0.5 * LEASE_SECONDS, 3 * LEASE_SECONDS
CUT_SECONDS = 0.1, 2 * LEASE_SECONDS
SLOW_SECONDS, SLOWEST_BLOCK_SECONDS = (1.0, 6.0), 0.5
SILENT_SECONDS = 0.5 * LEASE_SECONDS, 4 * LEASE_SECONDS
STEPPED_SECONDS = 0.5 * LEASE_SECONDS, 3 * LEASE_SECONDS
#: So far to or fro: by more than any lease.
STEP_HOURS = 1.1, 3.0
FULL_SECONDS = 0.1, 2 * LEASE_SECONDS
BELLS = 10
#: What could not be undone yet is tried again so soon.
AGAIN_SECONDS = 0.1
_OPEN = "SELECT uid FROM job WHERE finished_at IS NULL AND kind = 'classify'"
_BACKENDS = """
SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'imgq-%' AND pid <> pg_backend_pid()
ORDER BY pid
"""


#: Does a fault; None: there is nothing to do it to now.
Deed = Callable[[Scene, Fault], Hit | Armed | None]


def _member(scene: Scene, fault: Fault, role: str) -> Member | None:
    """Choose a process; of workers most often one that works: others have little to lose."""
    at_work = role == "worker" and fault.waits_for_work
    candidates = scene.stack.at_work() if at_work else scene.stack.of_role(role)
    return fault.choose(candidates) if candidates else None


def _kill(role: str) -> Deed:
    def deed(scene: Scene, fault: Fault) -> Hit | None:
        member = _member(scene, fault, role)
        if member is None:
            return None
        hit = Hit(member.name, scene.claims_of(member))
        member.kill()
        return hit

    return deed


def _kill_child(scene: Scene, fault: Fault) -> Hit | None:
    member = _member(scene, fault, "worker")
    children = member.pool_children() if member else []
    if member is None or not children:
        return None
    hit = Hit(member.name, scene.claims_of(member))
    if not _killed(children[0]):
        return None
    member.disturbed_at = time.time()
    return hit


def _kill_trainer(scene: Scene, fault: Fault) -> Hit | None:
    trainers = [each for member in scene.stack.of_role("trainer") for each in member.trainers()]
    if trainers and _killed(victim := fault.choose(trainers)):
        return Hit(f"trainer {victim.pid}")
    return None


def _killed(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def _stop(role: str) -> Deed:
    def deed(scene: Scene, fault: Fault) -> Hit | None:
        member = _member(scene, fault, role)
        if member is None:
            return None
        seconds = fault.between(*STOPPED_SECONDS)
        member.signal_all(signal.SIGSTOP)
        scene.later(seconds, lambda: member.signal_all(signal.SIGCONT))
        return Hit(f"{member.name} for {seconds:.1f} s", scene.claims_of(member))

    return deed


def _terminate(scene: Scene, fault: Fault) -> Hit | None:
    member = _member(scene, fault, "worker")
    if member is None:
        return None
    hit = Hit(member.name, scene.claims_of(member))
    member.signal(signal.SIGTERM)
    member.disturbed_at = time.time()
    return hit


def _arm(action: str) -> Deed:
    def deed(scene: Scene, fault: Fault) -> Armed | None:
        points = [
            point for point in scene.stack.points if point.action == action and point.is_spent
        ]
        if not points:
            return None
        point = fault.choose(points)
        point.arm()
        return Armed(point)

    return deed


def reached(scene: Scene, fault: Fault, point: Point) -> Hit:
    """Tell what a point took that somebody has reached; who stopped there goes on later."""
    member = scene.stack.members[point.member]
    if point.action == "stop":
        scene.later(fault.between(*STOPPED_SECONDS), lambda: member.signal_all(signal.SIGCONT))
    else:
        member.disturbed_at = time.time()
    return Hit(f"{point.member} at {point.place}", scene.claims_of(member))


def _poison(word: str) -> Deed:
    def deed(scene: Scene, _fault: Fault) -> Hit:
        scene.load.submit_poison(word)
        return Hit("a new job")

    return deed


def _flush(scene: Scene, _fault: Fault) -> Hit | None:
    return Hit("redis") if _tell(scene, lambda queue: queue.flushall()) else None


def _kill_redis(scene: Scene, _fault: Fault) -> Hit | None:
    return _signal_server(scene, "valkey", signal.SIGKILL)


def _stop_postgres(scene: Scene, _fault: Fault) -> Hit | None:
    return _signal_server(scene, "postgres", signal.SIGQUIT)


def _signal_server(scene: Scene, name: str, number: int) -> Hit | None:
    server = scene.stack.servers[name]
    if server.pid is None or server.exit_code() is not None:
        return None
    os.kill(server.pid, number)
    return Hit(name)


def _ring_often(scene: Scene, fault: Fault) -> Hit | None:
    queue = fault.choose((LIST, CLASSIFY, TRAIN))
    ring = make_ring(scene.stack.settings)
    return Hit(queue) if all(ring(queue) for _ in range(BELLS)) else None


def _forge(scene: Scene, fault: Fault) -> Hit | None:
    queue = fault.choose((LIST, CLASSIFY, TRAIN))
    key = f"{scene.stack.settings.instance}:{queue}"
    name, message = forgeries(queue)[int(fault.extent * len(forgeries(queue)))]
    pushed = _tell(scene, lambda redis_queue: redis_queue.rpush(key, message))
    return Hit(f"{name} to {queue}") if pushed else None


def _tell(scene: Scene, what: Callable[[redis.Redis], object]) -> bool:
    try:
        what(scene.stack.queue)
    except redis.RedisError:
        return False
    return True


def _backend(scene: Scene, fault: Fault, act: Callable[[int], object]) -> Hit | None:
    backends = scene.ask(_BACKENDS)
    if not backends:
        return None
    pid = int(fault.choose(backends))
    act(pid)
    return Hit(f"backend {pid}")


def _kill_backend(scene: Scene, fault: Fault) -> Hit | None:
    def kill(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    return _backend(scene, fault, kill)


def _terminate_backend(scene: Scene, fault: Fault) -> Hit | None:
    return _backend(
        scene, fault, lambda pid: scene.ask("SELECT pg_terminate_backend(:pid)", pid=pid)
    )


def _step_clock(scene: Scene, fault: Fault) -> Hit | None:
    least, most = STEP_HOURS
    far = least + abs(2 * fault.target - 1) * (most - least)
    hours, lasts = math.copysign(far, fault.target - 0.5), fault.between(*STEPPED_SECONDS)
    if scene.clock_is_off or not set_clock(scene.stack.engine, ahead_hours=hours):
        return None
    scene.clock_is_off = True
    _set_right_later(scene, lasts)
    return Hit(f"the clock by {hours:+.2f} h for {lasts:.1f} s")


def _set_right_later(scene: Scene, seconds: float) -> None:
    def set_right() -> None:
        if set_clock(scene.stack.engine, ahead_hours=0):
            scene.clock_is_off = False
        else:
            _set_right_later(scene, AGAIN_SECONDS)

    scene.later(seconds, set_right)


def _fill_disk(scene: Scene, fault: Fault) -> Hit | None:
    disk, lasts = scene.stack.disk, fault.between(*FULL_SECONDS)
    if disk is None or not disk.fill():
        return None
    scene.later(lasts, disk.free)
    return Hit(f"{disk.place} for {lasts:.1f} s")


def _weather(what: str, seconds: tuple[float, float], *values: float) -> Deed:
    def deed(scene: Scene, fault: Fault) -> Hit:
        network = scene.stack.network
        name, lasts = fault.choose(network.names), fault.between(*seconds)
        network.change(name, what, *(value * fault.extent for value in values))
        scene.later(lasts, lambda: network.change(name, "calm"))
        worker = scene.stack.members[name.partition(" ")[0]]
        return Hit(f"{name} for {lasts:.1f} s", scene.claims_of(worker))

    return deed


def _cancel(scene: Scene, fault: Fault) -> Hit | None:
    open_jobs = set(scene.ask(_OPEN))
    jobs = [job for job in scene.load.jobs if str(job.uid) in open_jobs and not job.cancels]
    if not jobs:
        return None
    job = fault.choose(jobs)
    scene.load.cancel(job)
    return Hit(f"job {job.uid}", job=job)


DEEDS: Mapping[Kind, Deed] = {
    Kind.WORKER_KILL: _kill("worker"),
    Kind.CHILD_KILL: _kill_child,
    Kind.WORKER_STOP: _stop("worker"),
    Kind.WORKER_TERM: _terminate,
    Kind.POINT_KILL: _arm("kill"),
    Kind.POINT_STOP: _arm("stop"),
    Kind.POISON: _poison(POISON),
    Kind.ENDLESS: _poison(ENDLESS),
    Kind.GLUTTON: _poison(GLUTTON),
    Kind.OUT_OF_MEMORY: _arm("exhaust"),
    Kind.RECONCILER_KILL: _kill("reconciler"),
    Kind.RECONCILER_STOP: _stop("reconciler"),
    Kind.API_KILL: _kill("api"),
    Kind.SUPERVISOR_KILL: _kill("trainer"),
    Kind.TRAINER_KILL: _kill_trainer,
    Kind.REDIS_FLUSH: _flush,
    Kind.REDIS_KILL: _kill_redis,
    Kind.REDIS_FORGED: _forge,
    Kind.REDIS_BELLS: _ring_often,
    Kind.POSTGRES_STOP: _stop_postgres,
    Kind.BACKEND_KILL: _kill_backend,
    Kind.BACKEND_TERMINATE: _terminate_backend,
    Kind.CLOCK_STEP: _step_clock,
    Kind.DISK_FULL: _fill_disk,
    Kind.NET_CUT: _weather("cut", CUT_SECONDS),
    Kind.NET_RESET: _weather("reset", (0.0, 0.0)),
    Kind.NET_SLOW: _weather("slow_down", SLOW_SECONDS, SLOWEST_BLOCK_SECONDS),
    Kind.NET_SILENT: _weather("fall_silent", SILENT_SECONDS),
    Kind.CANCEL: _cancel,
}
