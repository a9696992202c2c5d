"""`tape rebuild` as a process of its own, of a scene's topics, with a place to die.

`python -m tests.survival.rebuild_process TASK` from the root of the repository; as the loader that
it starts: `python -m tests.survival.rebuild_process --loader`, with the task in the environment.

The task is one JSON object: {"topics", "projection", "step"}; `topics` as for a worker's task.
`step` says where it is killed, or is empty.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import projections
from projections import built, names
from projections.builder import Builder
from streams.rebuild import building, loader, loading, run
from tests.survival.worker_process import PROJECTIONS, around, replace_topics

_TASK = "TICKERTAPE_REBUILD_TASK"

#: Where a rebuild may be killed: at its begin, while it loads, with all loaded, with all derived,
#: while it catches up, in the transaction of the swap, behind it, and with the old tables dropped.
STEPS = (
    *("begun", "loading", "loaded", "derived", "catching_up", "in_swap", "swapped", "dropped"),
    "loader",
)


def die(step: str) -> Callable[..., None]:
    """Kills this very process."""

    def now(*_: object) -> None:
        print(f"killed at {step}", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    return now


def install(step: str) -> None:
    """Puts the place to die around a part of the rebuild."""
    killed = die(step)
    match step:
        case "begun":
            around(names, "check_names", after=killed)
        case "loading":
            replaced: Any = building
            replaced.load_all = in_loading(killed)
        case "loaded":
            around(building, "load_all", after=killed)
        case "derived":
            around(Builder, "finish", after=killed)
        case "catching_up":
            around(Builder, "project", after=killed)
        case "in_swap":
            around(built, "take_over", after=killed)
        case "swapped":
            around(run, "tidy", before=killed)
        case "dropped":
            around(run, "tidy", after=killed)


def in_loading(killed: Callable[..., None]) -> Any:
    """Dies once something is loaded, and not all."""
    original = loading.load_all

    async def load_all(task: Any, loaded: Any) -> None:
        def told(counts: Any) -> None:
            loaded(counts)
            if sum(counts.values()):
                killed()

        await original(task, told)

    return load_all


def main() -> int:
    is_loader = sys.argv[1] == "--loader"
    text = os.environ[_TASK] if is_loader else sys.argv[1]
    os.environ[_TASK] = text
    task = json.loads(text)
    topics: dict[str, str] = task["topics"]
    replace_topics(topics)
    name = task["projection"]
    projection = type(name.title(), (PROJECTIONS[name],), {"topics": tuple(topics.values())})
    registered: Any = {**projections.PROJECTIONS, name: projection}
    modules: Any = (run, loader)
    for module in modules:
        module.PROJECTIONS = registered
    loader._TELL_EVERY = 0.0
    if is_loader:
        loader.UNIT_RECORDS = 500
        if task["step"] == "loader":
            around(Builder, "load", after=die("loader"))
        return loader.main()
    started: Any = loading
    started._LOADER = (sys.executable, "-m", "tests.survival.rebuild_process", "--loader")
    install(task["step"])
    sys.argv = ["tape", "rebuild", name]
    from streams.cli import building as commands
    from streams.cli import main as tape

    commands.all_projections = lambda: sorted(registered)
    tape()
    return 0


if __name__ == "__main__":
    sys.exit(main())
