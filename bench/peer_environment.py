"""The peers' own environment: laid over imgq's, whose torch they share."""

import subprocess
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.children import REPOSITORY, last_line, run_json
from bench.samples import PartFailed

REQUIREMENTS = REPOSITORY / "bench" / "peers" / "requirements.txt"
#: Apart from every list of requirements, for its licence, the AGPL.
ULTRALYTICS = "ultralytics==8.4.190"
VERSIONS = "import importlib.metadata as m, json; print(json.dumps(m.version({!r})))"


@dataclass(frozen=True, slots=True)
class Peer:
    """One of those that imgq is measured beside.

    module: its script in bench/peers. package: what must be installed for it. short, long: how many
    pictures its two folders hold, chosen for ten to twenty seconds each. target: how many times as
    fast imgq has to be, None where it is the roofline that sets it.
    """

    name: str
    module: str
    package: str
    short: int
    long: int
    environment: tuple[tuple[str, str], ...] = ()
    target: float | None = None


QUIET_RAY = (("RAY_USAGE_STATS_ENABLED", "0"),)
OFFLINE_HUB = (("HF_HUB_OFFLINE", "1"),)
OFFLINE_YOLO = (("YOLO_OFFLINE", "1"), ("YOLO_AUTOINSTALL", "false"))

PEERS = (
    Peer("timm", "timm_inference", "timm", 32, 768),
    Peer("ultralytics", "ultralytics_predict", "ultralytics", 32, 320, OFFLINE_YOLO),
    Peer("dataloader", "dataloader", "torchvision", 32, 512),
    Peer("huggingface", "huggingface", "transformers", 32, 256, OFFLINE_HUB),
    Peer("ray", "ray_data", "ray", 32, 256, QUIET_RAY),
    Peer("celery-tamed", "naive_celery", "celery", 32, 320, (("OMP_NUM_THREADS", "1"),)),
    Peer("celery", "naive_celery", "celery", 16, 112, target=15.0),
)


def python_in(env: Path) -> Path:
    """Return the interpreter of an environment."""
    return env / "bin" / "python"


def prepare(env: Path, peers: tuple[Peer, ...], say: Callable[[str], None]) -> dict[str, str]:
    """Make the environment where it is missing, install what the peers need.

    Return the version of each peer's package; one that is missing could not be installed.
    """
    if not python_in(env).exists():
        say(f"making the peers' environment in {env}")
        venv.create(env, with_pip=True)
    site = sysconfig.get_path("purelib", vars={"base": str(env), "platbase": str(env)})
    Path(site, "imgq-beneath.pth").write_text(sysconfig.get_path("purelib") + "\n")
    packages = {peer.package for peer in peers}
    for package in sorted(packages):
        if version_in(env, package) is None:
            wanted = [ULTRALYTICS] if package == "ultralytics" else ["-r", str(REQUIREMENTS)]
            say(f"installing what {package} needs")
            install(env, wanted, say)
    return {name: found for name in packages if (found := version_in(env, name)) is not None}


def version_in(env: Path, package: str) -> str | None:
    """Return the version of a package in an environment, None if it is not there."""
    try:
        return str(run_json([python_in(env), "-c", VERSIONS.format(package)]))
    except PartFailed:
        return None


def install(env: Path, words: list[str], say: Callable[[str], None]) -> None:
    """Let pip install into the environment; say why it cannot."""
    pip = [str(python_in(env)), "-m", "pip", "install", "--quiet", "--no-input"]
    done = subprocess.run(
        [*pip, "--disable-pip-version-check", *words], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        say(f"pip could not install {words[-1]}: {last_line(done.stderr)}")
