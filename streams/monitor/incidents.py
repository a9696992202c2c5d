"""Incidents: each a cause with all its symptoms, told once, and not again while it flickers.

When ticks stop, the venue's feed is silent, its prices grow old, and the marks of trades with them:
that is one incident, of the feed, and not five alarms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from streams.monitor.model import Incident, Level
from streams.monitor.sentences import clock
from streams.monitor.symptoms import Symptom

__all__ = ["Action", "Book", "Change", "causes_of"]

_SECOND = 1_000_000
#: An incident is over once its cause has shown nothing for so long; twice as long each time that
#: it came back soon after, up to the longest.
_QUIET_S = 15.0
_LONGEST_QUIET_S = 240.0
#: What comes back within so many seconds is the same incident.
_BACK_WITHIN_S = 600.0
#: That an incident goes on is recorded so often: the log does not keep its opening for ever.
_RETOLD_S = 300.0


class Action(StrEnum):
    """What became of an incident."""

    OPENED = "opened"
    CHANGED = "changed"
    CLOSED = "closed"


class Change(NamedTuple):
    """An incident that is to be told, and why.

    `is_news` is False where it only goes on: people need not hear of that again.
    """

    action: Action
    incident: Incident
    is_news: bool = True


def causes_of(symptoms: Sequence[Symptom]) -> dict[str, list[Symptom]]:
    """The symptoms by the node that explains them: the worst of each first.

    A symptom belongs to the first of its causes that shows symptoms itself, and so on from there.
    """
    by_node: dict[str, list[Symptom]] = {}
    for one in symptoms:
        by_node.setdefault(one.node, []).append(one)
    found: dict[str, list[Symptom]] = {}
    for node, some in by_node.items():
        found.setdefault(_root(node, by_node), []).extend(some)
    return {
        root: sorted(some, key=lambda one: (one.node != root, -one.level, one.since))
        for root, some in found.items()
    }


def _root(node: str, by_node: Mapping[str, Sequence[Symptom]]) -> str:
    seen = {node}
    while True:
        causes = (cause for one in by_node[node] for cause in one.causes)
        cause = next((one for one in causes if one in by_node and one not in seen), None)
        if cause is None:
            return node
        seen.add(cause)
        node = cause


@dataclass(slots=True)
class _Entry:
    """An incident, and what the damping needs of it."""

    incident: Incident
    last_seen: int
    quiet_s: float
    told: int
    worst: Level


class Book:
    """The incidents that are open, and those that were closed a short while ago."""

    def __init__(
        self, known: Iterable[Incident] = (), now: int = 0, *, is_patient: bool = True
    ) -> None:
        """`known` are incidents that were open at `now`, as another process has told.

        Where there is one look only, nothing lasts: it is then not patient.
        """
        self._entries = {one.cause: _Entry(one, now, _QUIET_S, now, one.level) for one in known}
        self._is_patient = is_patient
        self._looked = now
        #: Since when each symptom is there without a pause, by its node and the text's beginning.
        self._since: dict[tuple[str, str], int] = {}

    @property
    def open(self) -> list[Incident]:
        """The worst first, then the oldest."""
        found = [
            one.incident if one.last_seen == self._looked else _away(one)
            for one in self._entries.values()
            if one.incident.closed is None
        ]
        return sorted(found, key=lambda one: (-one.level, one.opened))

    def take(self, symptoms: Sequence[Symptom], facts: Mapping[str, str], now: int) -> list[Change]:
        """The changes that this look brings; `now` in microseconds since 1970 UTC.

        `facts` has a sentence for nodes that are well, which tells what a cause does not concern.
        """
        self._looked = now
        lasting = self._lasting(symptoms, now)
        changes = []
        for cause, some in causes_of(lasting).items():
            changes += self._seen(cause, some, facts, now)
        for entry in list(self._entries.values()):
            changes += self._unseen(entry, now)
        return changes

    def _lasting(self, symptoms: Sequence[Symptom], now: int) -> list[Symptom]:
        """Those that have lasted as long as each has to."""
        keys = {(one.node, one.text.partition(" ")[0]): one for one in symptoms}
        self._since = {key: min(self._since.get(key, now), keys[key].since) for key in keys}
        return [
            one
            for one in symptoms
            if not self._is_patient
            or now - self._since[one.node, one.text.partition(" ")[0]] >= one.patience_s * _SECOND
        ]

    def _seen(
        self, cause: str, some: Sequence[Symptom], facts: Mapping[str, str], now: int
    ) -> list[Change]:
        entry = self._entries.get(cause)
        texts = tuple(dict.fromkeys([*(one.text for one in some), *_facts_of(some, facts)]))
        level = max(one.level for one in some)
        if entry is None:
            opened = min(now, *(one.since for one in some if one.node == cause))
            incident = Incident(f"{cause}@{now}", cause, level, texts[0], texts, opened)
            self._entries[cause] = _Entry(incident, now, _QUIET_S, now, level)
            return [Change(Action.OPENED, incident)]
        was = entry.incident
        entry.last_seen = now
        entry.incident = replace(was, level=level, title=texts[0], symptoms=texts, closed=None)
        if was.closed is not None:
            entry.quiet_s = min(2 * entry.quiet_s, _LONGEST_QUIET_S)
            entry.told, entry.worst = now, level
            return [Change(Action.OPENED, entry.incident)]
        is_news = level > entry.worst
        entry.worst = max(level, entry.worst)
        is_due = now - entry.told >= _RETOLD_S * _SECOND
        if not is_news and not is_due:
            return []
        entry.told = now
        return [Change(Action.CHANGED, entry.incident, is_news)]

    def _unseen(self, entry: _Entry, now: int) -> list[Change]:
        quiet_s = (now - entry.last_seen) / _SECOND
        if entry.incident.closed is None and quiet_s >= entry.quiet_s:
            entry.incident = replace(entry.incident, closed=entry.last_seen)
            entry.told = now
            return [Change(Action.CLOSED, entry.incident)]
        if quiet_s >= max(_BACK_WITHIN_S, entry.quiet_s):
            del self._entries[entry.incident.cause]
        return []


def _away(entry: _Entry) -> Incident:
    """What is not seen now, and may come back."""
    text = f"not seen since {clock(entry.last_seen)}: over, if not again for {entry.quiet_s:.0f} s"
    return replace(entry.incident, symptoms=(*entry.incident.symptoms, text))


def _facts_of(some: Sequence[Symptom], facts: Mapping[str, str]) -> list[str]:
    """What is well of all that might have caused these."""
    ill = {one.node for one in some}
    nodes = dict.fromkeys(cause for one in some for cause in one.causes)
    return [facts[node] for node in nodes if node in facts and node not in ill]
