"""How long and how bad the two forms of the soak are."""

from __future__ import annotations

from tests.soak.soak import Plan

__all__ = ["kills_plan", "long_plan", "short_plan"]

_PROCESSES = (
    *("producer_killed", "worker_killed", "producer_frozen", "worker_frozen"),
    *("producer_restarted", "worker_restarted", "standbys"),
)
_VENUES = ("venue_gone", "storm", "key_expired", "clock_off", "wrong_checksums")
_SERVERS = ("database_killed", "broker_killed")


def long_plan(seconds: float, seed: int) -> Plan:
    """Everything, again and again; at Kalshi ten hours pass in ten minutes."""
    return Plan(
        seconds,
        seed,
        misfortunes=(*_PROCESSES, *_VENUES, *_SERVERS),
        pause=6.0,
        stride=10.0,
        stalls=True,
    )


def short_plan(seed: int) -> Plan:
    """What fits into a test: a producer and a worker die, and frames go wrong often."""
    return Plan(
        12.0,
        seed,
        misfortunes=("producer_killed", "worker_killed", "storm", "wrong_checksums"),
        pause=2.0,
        faults=3.0,
    )


def kills_plan(seed: int) -> Plan:
    """Every feed's process dies again and again, amid frames that go wrong."""
    return Plan(60.0, seed, misfortunes=("producer_killed",), pause=2.0, faults=3.0)
