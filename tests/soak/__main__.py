"""`make soak`: the long form. `python -m tests.soak [--for 10m] [--seed N]`."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

from streams.cli.running import parse_duration
from streams.embedded import stack
from tests.conftest import remove_stack
from tests.soak.plans import long_plan
from tests.soak.soak import Soak, Summary


def main() -> int:
    """Exit status 0 if every table is equal to what the venues said."""
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--for", dest="duration", default="10m", help="such as 90s, 10m")
    parser.add_argument("--seed", type=int, default=None, help="that of a run to be repeated")
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    print(f"SEED={seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="tickertape-soak-"))
    try:
        stack.start(folder / "home")
        plan = long_plan(parse_duration(given.duration), seed)
        summary = asyncio.run(Soak(folder / "home", folder, plan, _tell).run())
    finally:
        remove_stack(folder / "home")
    _show(summary)
    if summary.differences:
        print(f"the logs are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _tell(text: str) -> None:
    print(text, flush=True)


def _show(summary: Summary) -> None:
    lines = {
        "frames": f"{summary.frames:,}",
        "faults": _counts(summary.faults),
        "misfortunes": _counts(summary.misfortunes),
        "processes": _counts(summary.starts),
        "books looked at": f"{summary.samples:,}",
        "records": _counts(summary.records),
        "gaps": _counts(summary.gaps),
        "not recovered": _counts(summary.missing),
        "rows": _counts(summary.rows),
    }
    for name, text in lines.items():
        print(f"{name + ':':17}{text}")
    print("equal" if not summary.differences else "\n".join(["NOT EQUAL:", *summary.differences]))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()) if count)


if __name__ == "__main__":
    sys.exit(main())
