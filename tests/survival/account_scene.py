"""The stage for the projection `account`: topics of its own in the place of its three."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from streams.embedded.home import Home
from streams.events import Event
from tests.fold import sorted_some
from tests.projections.account.projected import rows, tables
from tests.projections.account.reference import canonical, reference
from tests.projections.account.reference_facts import Row
from tests.survival.account_load import TOPICS, Lives
from tests.survival.scene import Scene


class AccountScene(Scene):
    """Trade lives in three topics, against what the reference says of all that was sent."""

    replaces = TOPICS
    projections = ("account",)

    def __init__(self, home: Home, folder: Path) -> None:
        super().__init__(home, folder)
        self.lives = Lives(self.topics, seed=0)

    def source(self, seed: int) -> Lives:
        self.lives = Lives(self.topics, seed)
        return self.lives

    def verify(self, *projections: str) -> None:
        """Compares every table with the reference, and the dead letters with the garbage."""
        sent = len(self.lives.events) + self.lives.garbage.total()
        assert sent, "the scenario wrote nothing"
        assert sum(self.ends().values()) == sent
        lines = differences(self.lives.events, self.dsn)
        letters = Counter(
            self.query("select topic, key, value from dead_letters where projection = 'account'")
        )
        lines += _unequal("dead_letters", self.lives.garbage, letters)
        assert not lines, "\n".join([*lines, self.logs()])


def differences(events: Iterable[Event], dsn: str) -> list[str]:
    """How the tables differ from what the reference makes of these events; nothing if they do not.

    The events are in the order of the log.
    """
    wanted = reference(events)
    wanted["account_conflicts"] = [
        {**row, "key": _in_json(row["key"])} for row in wanted.pop("conflicts")
    ]
    found = {**tables(dsn), "account_conflicts": _conflicts(dsn)}
    assert wanted.keys() == found.keys()
    pairs = _counted(wanted), _counted(found)
    lines = []
    for name in wanted:
        lines += _unequal(name, *(counted[name] for counted in pairs))
    return lines


def _conflicts(dsn: str) -> list[Row]:
    """As the reference has them: without bodies."""
    found = rows(dsn, "account_conflicts")
    return [{name: row[name] for name in ("fact", "key", "content")} for row in found]


def _counted(tables: Mapping[str, Iterable[Row]]) -> dict[str, Counter[Any]]:
    """How often each row is there."""
    return {name: Counter(rows) for name, rows in canonical(tables).items()}


def _unequal(name: str, wanted: Counter[Any], found: Counter[Any]) -> list[str]:
    lacking, excess = wanted - found, found - wanted
    lines = [f"{name} lacks {row}" for row in sorted_some(lacking, limit=3)]
    lines += [f"{name} should not have {row}" for row in sorted_some(excess, limit=3)]
    if lines:
        lines.append(f"{name}: {lacking.total()} missing, {excess.total()} too many")
    return lines


def _in_json(key: tuple[Any, ...]) -> str:
    """A key as `account_conflicts` has it."""
    return json.dumps([str(part) for part in key], separators=(",", ":"))
