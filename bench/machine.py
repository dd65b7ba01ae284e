"""What the figures depend on: this machine, and the versions of everything that was measured."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import psutil

from bench.children import REPOSITORY
from bench.measuring import usable_cores

PACKAGES = ("torch", "torchvision", "openvino", "simplejpeg", "pillow", "timm", "celery")
CPU_INFO = Path("/proc/cpuinfo")
GIB = 1 << 30


def describe_machine() -> dict[str, str]:
    """Return what this machine is, and how busy it was before."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": str(usable_cores()),
        "processor": processor_name(),
        "memory_gib": f"{psutil.virtual_memory().total / GIB:.0f}",
        "system": f"{platform.system()} {platform.release()}",
        "load_before": f"{load:.1f}",
    }


def describe_versions(peers: dict[str, str]) -> dict[str, str]:
    """Return versions by name. peers: those of the peers' own packages."""
    versions = {"imgq": f"{importlib.metadata.version('imgq')}{commit()}"}
    versions["Python"] = sys.version.split()[0]
    return versions | {name: importlib.metadata.version(name) for name in PACKAGES} | peers


def commit() -> str:
    """Return the commit that is checked out, as ' (abc1234)', or nothing outside a clone."""
    done = subprocess.run(
        ["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f" ({done.stdout.strip()})" if done.returncode == 0 else ""


def processor_name() -> str:
    """Return what the processor calls itself."""
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
