"""Two workers on one market: what one of them writes is never lost to the other."""

import asyncio
from collections.abc import Iterable
from itertools import count, islice

import pytest

from projections import account
from projections.account import Account
from projections.base import Connection
from projections.unit import Projector
from streams.events import Event
from tests.projections.account.examples import bought, fill, opened, order
from tests.projections.account.projected import rows, source_of, starts, units_of

TIMES = 1_000


def pair(number: int) -> tuple[Event, list[Event]]:
    """A command, and the order and fill that come of it, of a market of their own."""
    ticker = f"KXBTCD-25AUG0619-T{number}.99"
    command = opened(ticket_id=f"T{number}", command_id=f"c{number}", ticker=ticker)
    return command, [
        order(command, order_id=f"o{number}"),
        fill(order_id=f"o{number}", trade_id=f"f{number}", ticker=ticker),
    ]


async def commit_together(dsn: str, pairs: Iterable[tuple[Event, list[Event]]]) -> None:
    """Commands by one worker, what came of them by another, each two at the same instant."""
    pairs = list(pairs)
    commands = units_of([command for command, _ in pairs], [1] * len(pairs))
    outcomes = units_of([one for _, some in pairs for one in some], [2] * len(pairs))
    workers = Projector(Account(), dsn), Projector(Account(), dsn)
    for worker, units in zip(workers, (commands, outcomes), strict=True):
        await worker.claim(starts(units))
    for unit in zip(commands, outcomes, strict=True):
        await asyncio.gather(*(w.commit(u) for w, u in zip(workers, unit, strict=True)))
    for worker in workers:
        await worker.close()


async def test_a_command_and_its_fill_never_lose_each_other(migrated_dsn: str) -> None:
    await commit_together(migrated_dsn, map(pair, range(TIMES)))
    trades = rows(migrated_dsn, "trades")
    assert len(trades) == TIMES
    assert {(one["status"], one["position"]) for one in trades} == {("open", bought)}
    assert not rows(migrated_dsn, "unmatched_fills")


async def test_without_the_locks_some_would_be_lost(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lock_nothing(
        connection: Connection, family: str, keys: Iterable[str], *, shared: bool = False
    ) -> None:
        """The instant between facts and what follows, made longer."""
        await asyncio.sleep(0.02)

    monkeypatch.setattr(account, "lock_keys", lock_nothing)
    await commit_together(migrated_dsn, map(pair, range(20)))
    assert rows(migrated_dsn, "unmatched_fills")


def tickers_of(partition: int, number: int) -> list[str]:
    """So many tickers whose records are in that partition."""
    all_tickers = (f"KXA-{n}" for n in count())
    own = (one for one in all_tickers if source_of(fill(ticker=one)).partition == partition)
    return list(islice(own, number))


async def test_a_native_and_a_legacy_row_of_one_key_never_miss_each_other(
    migrated_dsn: str,
) -> None:
    """They are in two markets, so in two partitions: the native one alone counts."""
    ids = [f"f{n}" for n in range(200)]
    native = [
        fill(trade_id=one, ticker=ticker)
        for one, ticker in zip(ids, tickers_of(0, len(ids)), strict=True)
    ]
    legacy = [
        fill(trade_id=one, ticker=ticker, origin="legacy")
        for one, ticker in zip(ids, tickers_of(1, len(ids)), strict=True)
    ]
    both = [units_of(some, [1] * len(ids)) for some in (native, legacy)]
    workers = [Projector(Account(), migrated_dsn) for _ in both]
    for worker, units in zip(workers, both, strict=True):
        await worker.claim(starts(units))
    for unit in zip(*both, strict=True):
        await asyncio.gather(*(w.commit(u) for w, u in zip(workers, unit, strict=True)))
    for worker in workers:
        await worker.close()
    held = {one["ticker"] for one in rows(migrated_dsn, "positions")}
    assert held == {one.ticker for one in native}
