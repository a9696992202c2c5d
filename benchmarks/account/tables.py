"""The account's tables: made in a database of their own, summed up, and when they were filled."""

from __future__ import annotations

import asyncio

import psycopg
from psycopg.rows import class_row

from benchmarks import table
from benchmarks.account.dataset import Totals
from benchmarks.window import Window
from projections import PROJECTIONS
from projections.migrations import migrate

#: Sums over the stable names, as `Totals` has them.
_TOTALS = """
select
    (select count(*) from fills) as fills,
    (select count(*) from orders) as orders,
    (select count(*) from commands) as commands,
    (select count(*) from settlements) as settlements,
    count(*) as trades,
    count(*) filter (where status = 'open') as open,
    count(*) filter (where status = 'closed') as closed,
    count(*) filter (where win_loss = 'W') as won,
    (select coalesce(sum(count), 0) from trade_fills where ticket_id is not null) as contracts,
    coalesce(sum(fees), 0) as fees,
    coalesce(sum(pnl), 0) as pnl
from trades
"""

# A fact is written once, in the unit of work that moves the checkpoint over its record.
_COMMITS = """
select
    extract(epoch from pg_xact_commit_timestamp(id))::float8 as at,
    (count(*) filter (where is_counted))::bigint,
    count(*)::bigint
from (
    select xmin as id, true as is_counted from account_1.fills
    union all select xmin, true from account_1.orders
    union all select xmin, false from account_1.commands
    union all select xmin, false from account_1.settlements
) as facts
group by at
order by at
"""


def fresh_database(admin_dsn: str, name: str) -> str:
    """Makes database `name` anew with the product's tables in it. Gives its DSN."""
    dsn = table.empty_database(admin_dsn, name)
    asyncio.run(migrate(dsn, [projection() for projection in PROJECTIONS.values()]))
    return dsn


def projected(connection: psycopg.Connection[tuple[int]]) -> int:
    """How many records the checkpoints of `account` are past."""
    row = connection.execute(
        "select coalesce(sum(next_offset), 0)::bigint from checkpoints where projection = 'account'"
    ).fetchone()
    return row[0] if row is not None else 0


def totals(dsn: str) -> Totals:
    """What the tables hold, in the dataset's own sums."""
    with psycopg.connect(dsn, row_factory=class_row(Totals)) as connection:
        row = connection.execute(_TOTALS).fetchone()
    assert row is not None
    return row


def windows(dsn: str) -> tuple[Window, Window]:
    """The commits that filled the tables, with fills and orders alone, and with all facts."""
    with psycopg.connect(dsn) as connection:
        commits = connection.execute(_COMMITS).fetchall()
    counted = tuple((at, some) for at, some, _ in commits)
    return Window(counted), Window(tuple((at, every) for at, _, every in commits))
