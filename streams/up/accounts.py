"""What `tape up` shows of accounts: trades by status, what they gained, and the cash ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg

__all__ = ["AccountReader", "AccountsReading", "Cash", "Trade", "Whose"]

Connection = psycopg.Connection[Any]

_IS_WANTED = "starts_with(account, %(prefix)s) = %(wanted)s"
_STATUSES = f"""
select status, count(*), count(*) filter (where close_method = 'expired'), sum(pnl), sum(fees)
from trades where {_IS_WANTED} group by status
"""
_NEWEST = f"""
select ticker, side, status, requested, position, buy_price, pnl
from trades where {_IS_WANTED} order by asked_at desc, ticket_id limit {{limit}}
"""
_CASH = f"""
select distinct on (account) account, balance, time
from balances where {_IS_WANTED} order by account, time desc, received desc
"""
_UNEXPLAINED = f"""
select coalesce(sum(abs(amount)), 0) from cash_unexplained where {_IS_WANTED}
"""
_MOST_SHOWN = 12
#: The ledger is reckoned anew for each look: what takes longer is given up, and looked at again
#: after so many times what it took.
_LEDGER_TIMEOUT_MS = 1000
_LEDGER_REST = 20.0


class Whose(NamedTuple):
    """Which accounts: those whose name begins with `prefix`, or (not `wanted`) all others."""

    prefix: str
    wanted: bool


class Trade(NamedTuple):
    """A trade in brief; prices in dollars, `pnl` None while something of it is held."""

    ticker: str
    side: str
    status: str
    requested: Decimal
    position: Decimal
    buy_price: Decimal | None
    pnl: Decimal | None


class Cash(NamedTuple):
    """The newest balance of an account, dollars."""

    account: str
    balance: Decimal
    time: datetime


@dataclass(frozen=True, slots=True)
class AccountsReading:
    """`settled` of the trades ended at their market's settlement; `pnl` is after fees.

    `unexplained` is the sum of all dollars by which balances moved and nothing says why; None where
    it could not be told in time.
    """

    trades: Mapping[str, int] = field(default_factory=dict)
    settled: int = 0
    pnl: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    newest: Sequence[Trade] = ()
    cash: Sequence[Cash] = ()
    unexplained: Decimal | None = Decimal(0)


class AccountReader:
    """Reads by a connection that it is given."""

    def __init__(self, whose: Whose) -> None:
        self._named = whose._asdict()
        self._unexplained: Decimal | None = Decimal(0)
        self._holds_until = 0.0

    def read(self, connection: Connection, *, exact: bool) -> AccountsReading:
        """Look now; with `exact` at the whole ledger, however long that takes."""
        statuses = connection.execute(_STATUSES, self._named).fetchall()
        newest = connection.execute(_NEWEST.format(limit=_MOST_SHOWN), self._named).fetchall()
        cash = connection.execute(_CASH, self._named).fetchall()
        return AccountsReading(
            trades={status: count for status, count, *_ in statuses},
            settled=sum(settled for _, _, settled, *_ in statuses),
            pnl=sum((pnl for *_, pnl, _ in statuses if pnl is not None), Decimal(0)),
            fees=sum((fees for *_, fees in statuses), Decimal(0)),
            newest=[Trade(*row) for row in newest],
            cash=[Cash(*row) for row in cash],
            unexplained=self._read_ledger(connection, exact=exact),
        )

    def _read_ledger(self, connection: Connection, *, exact: bool) -> Decimal | None:
        started = time.monotonic()
        if exact or started >= self._holds_until:
            self._unexplained = _unexplained(connection, self._named, exact=exact)
            self._holds_until = time.monotonic() + (time.monotonic() - started) * _LEDGER_REST
        return self._unexplained


def _unexplained(connection: Connection, named: Mapping[str, object], *, exact: bool) -> Any:
    try:
        with connection.transaction():
            timeout = 0 if exact else _LEDGER_TIMEOUT_MS
            connection.execute(f"set local statement_timeout = {timeout}")
            row = connection.execute(_UNEXPLAINED, named).fetchone()
    except psycopg.errors.QueryCanceled:
        return None
    assert row is not None
    return row[0]
