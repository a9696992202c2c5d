"""`tape pnl`: every figure is reckoned here once more, from what the rows of the test say."""

import csv
import io
import json
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from streams.errors import UserError
from streams.reports.pnl import Report, Span, read_pnl
from streams.reports.reading import reading
from streams.reports.text import dollars, number, plain
from tests.streams.tape import MAIN, Tape, add_fill, add_trade, make_tables

DEMO = "kalshi/demo/main/0"
#: Offsets of New York in the months of the tests, written down rather than looked up.
SUMMER, WINTER = timezone(timedelta(hours=-4)), timezone(timedelta(hours=-5))
TICKERS = ("KXBTCD-25AUG0619-T114749.99", "KXBTCD-25AUG0620-T115000", "KXETHD-25AUG0619-T3599.99")


@dataclass
class Closed:
    """A closed trade of the test: bought in two fills, sold or settled at `sold_at`."""

    ticket: str
    ticker: str
    strategy: str | None
    closed: datetime
    counts: tuple[Decimal, Decimal]
    prices: tuple[Decimal, Decimal]
    sold_at: Decimal
    fees: Decimal

    @property
    def contracts(self) -> Fraction:
        return sum(map(Fraction, self.counts), Fraction())

    @property
    def cost(self) -> Fraction:
        return sum(
            map(lambda n, p: Fraction(n) * Fraction(p), self.counts, self.prices), Fraction()
        )

    @property
    def proceeds(self) -> Fraction:
        return self.contracts * Fraction(self.sold_at)

    @property
    def pnl(self) -> Fraction:
        return self.proceeds - self.cost - Fraction(self.fees)

    def add(self, dsn: str, **columns: Any) -> None:
        """Write its rows; the means are rounded, as in the table."""
        mean = Decimal(round(self.cost / self.contracts * 100)) / 100
        row = {
            "ticker": self.ticker,
            "trade_strategy": self.strategy,
            "opened_at": self.closed - timedelta(minutes=30),
            "closed_at": self.closed,
            "status": "closed",
            "position": exact(self.contracts),
            "held": Decimal(0),
            "buy_price": mean,
            "sell_price": self.sold_at,
            "fees": self.fees,
            "pnl": exact(self.pnl),
            "win_loss": "W" if self.pnl > 0 else "L" if self.pnl < 0 else "D",
        }
        add_trade(dsn, self.ticket, **(row | columns))
        about = {"ticker": self.ticker, "ticket_id": self.ticket}
        for part, (count, price) in enumerate(zip(self.counts, self.prices, strict=True)):
            add_fill(dsn, f"{self.ticket}-{part}", count=count, price=price, **about)
        closing: dict[str, Any] = {
            "role": "close",
            "side": "no",
            "count": self.counts[0],
            "price": Decimal("0.3"),
        }
        add_fill(dsn, f"{self.ticket}-close", **closing, **about)


def exact(value: Fraction) -> Decimal:
    """A fraction whose denominator is a power of ten, as a decimal."""
    scaled = value * 10**20
    assert scaled.denominator == 1
    return Decimal(scaled.numerator).scaleb(-20)


def drawn(seed: int, count: int) -> list[Closed]:
    draw = random.Random(seed)

    def some(most: int, digits: int) -> Decimal:
        return Decimal(draw.randint(1, most * 10**digits)).scaleb(-digits)

    start = datetime(2025, 8, 1, tzinfo=UTC)
    return [
        Closed(
            ticket=f"T{index:03}",
            ticker=draw.choice(TICKERS),
            strategy=draw.choice(("Hourly HTC", "by hand", None)),
            closed=start + timedelta(minutes=draw.randrange(5 * 24 * 60)),
            counts=(some(300, 2), some(300, 0)),
            prices=(some(1, 4), some(1, 2)),
            sold_at=draw.choice((Decimal(0), Decimal(1), some(1, 4))),
            fees=some(3, 10),
        )
        for index in range(count)
    ]


def simple(ticket: str, closed: datetime, **changes: Any) -> Closed:
    """Ten contracts bought at 0.40, sold at 0.50, fees 0.05: 0.95 earned."""
    usual: dict[str, Any] = {
        "ticker": TICKERS[0],
        "strategy": None,
        "counts": (Decimal(4), Decimal(6)),
        "prices": (Decimal("0.4"), Decimal("0.4")),
        "sold_at": Decimal("0.5"),
        "fees": Decimal("0.05"),
    }
    return Closed(ticket=ticket, closed=closed, **(usual | changes))


@pytest.fixture
async def tables(dsn: str) -> str:
    """A database with tables, and no rows."""
    await make_tables(dsn)
    return dsn


def read(dsn: str, by: str, since: date | None = None, until: date | None = None) -> Report:
    with reading(dsn) as connection:
        return read_pnl(connection, Span(MAIN, since, until), by)


def summed(trades: list[Closed]) -> dict[str, Any]:
    return {
        "trades": len(trades),
        "wins": sum(one.pnl > 0 for one in trades),
        "losses": sum(one.pnl < 0 for one in trades),
        "contracts": sum(one.contracts for one in trades),
        "cost": sum(one.cost for one in trades),
        "proceeds": sum(one.proceeds for one in trades),
        "fees": sum(Fraction(one.fees) for one in trades),
        "pnl": sum(one.pnl for one in trades),
    }


def as_fractions(line: dict[str, Any]) -> dict[str, Any]:
    return {
        name: Fraction(value) if isinstance(value, Decimal) else value
        for name, value in line.items()
    }


KEYS: dict[str, Callable[[Closed], str | None]] = {
    "day": lambda one: one.closed.astimezone(SUMMER).strftime("%Y-%m-%d"),
    "series": lambda one: one.ticker[:6],
    "strategy": lambda one: one.strategy,
    "market": lambda one: one.ticker,
}


@pytest.mark.parametrize("by", KEYS)
def test_each_group_and_the_total_are_exact(tables: str, by: str) -> None:
    trades = drawn(seed=7, count=60)
    groups = defaultdict(list)
    for one in trades:
        one.add(tables)
        groups[KEYS[by](one)].append(one)
    report = read(tables, by)
    in_order = sorted(groups, key=lambda name: (name is None, name))
    assert [line["group"] for line in report.lines] == in_order
    for line in report.lines:
        assert as_fractions(line) == {"group": line["group"]} | summed(groups[line["group"]])
    assert as_fractions(report.total) == summed(trades)
    assert report.columns == ["group", *summed([])]


def test_each_trade_is_exact(tables: str) -> None:
    trades = drawn(seed=8, count=20)
    for one in trades:
        one.add(tables)
    report = read(tables, "trade")
    assert [as_fractions(line) for line in report.lines] == [
        {
            "opened": one.closed - timedelta(minutes=30),
            "closed": one.closed,
            "ticker": one.ticker,
            "side": "yes",
            "contracts": one.contracts,
            "cost": one.cost,
            "proceeds": one.proceeds,
            "fees": Fraction(one.fees),
            "pnl": one.pnl,
            "ticket": one.ticket,
        }
        for one in sorted(trades, key=lambda one: (one.closed, one.ticket))
    ]
    assert as_fractions(report.total) == summed(trades)


def test_days_are_those_of_new_york_in_summer_and_in_winter(tables: str) -> None:
    edges = {
        "a": datetime(2025, 8, 6, 23, 59, 59, 999_999, SUMMER),
        "b": datetime(2025, 8, 7, 0, 0, tzinfo=SUMMER),
        "c": datetime(2025, 12, 31, 23, 59, 59, 999_999, WINTER),
        "d": datetime(2026, 1, 1, 0, 0, tzinfo=WINTER),
        "e": datetime(2025, 11, 2, 0, 30, tzinfo=SUMMER),  # the day has 25 hours
        "f": datetime(2025, 11, 2, 23, 30, tzinfo=WINTER),
    }
    for ticket, closed in edges.items():
        simple(ticket, closed).add(tables)
    days = {line["group"]: line["trades"] for line in read(tables, "day").lines}
    assert days == {
        "2025-08-06": 1,
        "2025-08-07": 1,
        "2025-11-02": 2,
        "2025-12-31": 1,
        "2026-01-01": 1,
    }


def test_a_span_has_both_its_ends(tables: str) -> None:
    for day in range(1, 6):
        simple(f"T{day}", datetime(2025, 8, day, 12, tzinfo=SUMMER)).add(tables)
    second, fourth = date(2025, 8, 2), date(2025, 8, 4)
    for since, until, wanted in (
        (second, fourth, ["T2", "T3", "T4"]),
        (fourth, None, ["T4", "T5"]),
        (None, second, ["T1", "T2"]),
        (fourth, second, []),
    ):
        report = read(tables, "trade", since, until)
        assert [line["ticket"] for line in report.lines] == wanted
        assert report.total["trades"] == len(wanted)


def test_only_closed_trades_of_the_account_count(tables: str) -> None:
    noon = datetime(2025, 8, 6, 12, tzinfo=SUMMER)
    simple("T1", noon).add(tables)
    simple("T2", noon).add(tables, account=DEMO)
    for status in ("pending", "open", "closing", "expired", "canceled", "error"):
        simple(status, noon).add(tables, status=status)
    assert [line["ticket"] for line in read(tables, "trade").lines] == ["T1"]
    assert read(tables, "series").total["trades"] == 1


def test_a_trade_that_came_out_even_is_neither_won_nor_lost(tables: str) -> None:
    noon = datetime(2025, 8, 6, 12, tzinfo=SUMMER)
    simple("T1", noon, fees=Decimal(1)).add(tables)
    total = read(tables, "day").total
    assert (total["trades"], total["wins"], total["losses"], total["pnl"]) == (1, 0, 0, 0)


def test_another_grouping_is_refused(tables: str) -> None:
    with pytest.raises(UserError, match="'week' is no grouping; there are day, series, strategy"):
        read(tables, "week")


@pytest.fixture
def tape(tables: str, tmp_path: Path) -> Tape:
    """`tape` on these tables, without a broker."""
    return Tape(TAPE_HOME=str(tmp_path / "home"), TAPE_DSN=tables)


@pytest.fixture
def two_trades(tables: str) -> None:
    """One of 0.95 dollars earned, one with more digits and lost, in winter."""
    simple("TICKET-1", datetime(2025, 8, 6, 19, 0, 0, 5, SUMMER)).add(tables)
    simple(
        "TICKET-2",
        datetime(2025, 12, 1, 9, tzinfo=WINTER),
        ticker=TICKERS[2],
        strategy='a, [b] "c"',
        counts=(Decimal(1000), Decimal("0.5")),
        sold_at=Decimal(0),
        fees=Decimal("0.0123456789"),
    ).add(tables)


def test_a_table_fits_80_columns_and_ends_with_the_total(tape: Tape, two_trades: None) -> None:
    lines = tape.output("pnl").splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split() for line in lines] == [
        ["day", "trades", "W-L", "count", "cost", "proceeds", "fees", "pnl"],
        ["2025-08-06", "1", "1-0", "10", "4.00", "5.00", "0.05", "0.95"],
        ["2025-12-01", "1", "0-1", "1,000.5", "400.20", "0.00", "0.0123", "-400.2123"],
        ["total", "2", "1-1", "1,010.5", "404.20", "5.00", "0.0623", "-399.2623"],
    ]


@pytest.mark.parametrize("by", ["series", "strategy", "market", "trade"])
def test_every_table_fits_80_columns(tape: Tape, two_trades: None, by: str) -> None:
    output = tape.output("pnl", "--by", by)
    assert max(map(len, output.splitlines())) <= 80
    assert "-399.2623" in output
    assert "…" not in output


def test_csv_of_groups_is_plain_and_exact(tape: Tape, two_trades: None) -> None:
    assert tape.output("pnl", "--by", "strategy", "--csv", "-") == (
        "group,trades,wins,losses,contracts,cost,proceeds,fees,pnl\n"
        '"a, [b] ""c""",1,0,1,1000.5,400.2,0,0.0123456789,-400.2123456789\n'
        ",1,1,0,10,4,5,0.05,0.95\n"
    )


def test_csv_of_trades_has_what_a_tax_return_asks_for(
    tape: Tape, two_trades: None, tmp_path: Path
) -> None:
    words = ["--by", "trade", "--since", "2025-08-06", "--until", "2025-12-01"]
    file = tmp_path / "2025.csv"
    assert tape.output("pnl", *words, "--csv", file) == f"2 lines written to {file}\n"
    assert file.read_text() == (
        "opened,closed,ticker,side,contracts,cost,proceeds,fees,pnl,ticket\n"
        "2025-08-06T18:30:00.000005-04:00,2025-08-06T19:00:00.000005-04:00,"
        "KXBTCD-25AUG0619-T114749.99,yes,10,4,5,0.05,0.95,TICKET-1\n"
        "2025-12-01T08:30:00-05:00,2025-12-01T09:00:00-05:00,"
        "KXETHD-25AUG0619-T3599.99,yes,1000.5,400.2,0,0.0123456789,-400.2123456789,TICKET-2\n"
    )
    printed = tape.output("pnl", *words, "--csv", "-")
    assert list(csv.reader(io.StringIO(printed))) == list(csv.reader(file.open()))


def test_json_has_no_floats(tape: Tape, two_trades: None) -> None:
    output = tape.output("pnl", "--by", "series", "--since", "2025-12-01", "--json")
    told = json.loads(output, parse_float=lambda text: pytest.fail(f"a float: {text}"))
    figures = {
        "trades": 1,
        "wins": 0,
        "losses": 1,
        "contracts": "1000.5",
        "cost": "400.2",
        "proceeds": "0",
        "fees": "0.0123456789",
        "pnl": "-400.2123456789",
    }
    assert told == {
        "account": MAIN,
        "since": "2025-12-01",
        "until": None,
        "by": "series",
        "lines": [{"group": "KXETHD", **figures}],
        "total": figures,
    }


def test_the_account_is_the_option_s_or_the_setting_s(tape: Tape, two_trades: None) -> None:
    nothing = f"no closed trades of {DEMO} in this time\n"
    assert tape.output("pnl", "--account", DEMO) == nothing
    assert tape.output("pnl", TAPE_ACCOUNT=DEMO) == nothing
    assert "-399.2623" in tape.output("pnl", "--account", MAIN, TAPE_ACCOUNT=DEMO)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--by week", "'week' is no grouping; there are day, series, strategy, market, trade"),
        ("--since yesterday", "'yesterday' is no date; write it as 2025-08-31"),
        ("--until 2025-02-30", "'2025-02-30' is no date"),
        ("--csv - --json", "--csv and --json cannot both be given"),
        ("--csv /none/x.csv", "cannot write /none/x.csv: No such file or directory"),
    ],
)
def test_a_users_mistake_is_told_without_a_traceback(
    tape: Tape, words: str, complaint: str
) -> None:
    assert complaint in tape.complaint("pnl", *words.split())


def test_money_is_shown_in_cents_unless_there_is_more_to_say() -> None:
    shown = {"0": "0.00", "-1.5": "-1.50", "0.965": "0.965", "1234.00005": "1,234.00"}
    assert {text: dollars(Decimal(text)) for text in shown} == shown
    assert dollars(None) == "-"
    assert [number(Decimal(text)) for text in ("1200", "2.50", "100.000")] == [
        "1,200",
        "2.5",
        "100",
    ]
    exact_texts = ("1E+3", "0.5000", "12345678901234567890.1234567891")
    assert [plain(Decimal(text)) for text in exact_texts] == ["1000", "0.5", exact_texts[2]]
