"""`tape trade`: commands about trades into the log, and trades as they stand."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from streams.errors import UserError

if TYPE_CHECKING:
    from streams.events import TradeCommand
    from streams.events.types import Side
    from streams.tracing import Place
    from streams.trading import Method

__all__ = ["app"]

app = typer.Typer(
    help="Trades: ask for them, look at them. To ask is to record; nothing is sent to a venue.",
    no_args_is_help=True,
)

_Ticket = Annotated[str, typer.Argument(metavar="TICKET", help="The trade's ticket id.")]
_Account = Annotated[
    str | None, typer.Option(help="Such as kalshi/demo/main/0; without it, TAPE_ACCOUNT.")
]
_TradesAccount = Annotated[
    str | None, typer.Option(help="Without it, the trade's; with --ticker, TAPE_ACCOUNT.")
]
_Ticker = Annotated[
    str | None, typer.Option(help="The trade's market; without it, as the table trades says.")
]
_CommandId = Annotated[
    str | None, typer.Option(help="The same id again is the same command; a new one without it.")
]
_Method = Annotated[str, typer.Option(help="manual or auto.")]
_Reason = Annotated[str | None, typer.Option(help="Why, for people.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

_SIDES = {"y": "yes", "n": "no", "yes": "yes", "no": "no"}
_OVER = ("closed", "expired", "canceled", "error")


@app.command(name="open")
def open_(
    ticker: Annotated[str, typer.Option(help="The market: KXBTCD-25AUG0619-T114749.99.")],
    side: Annotated[str, typer.Option(help="yes or no (Y and N will do).")],
    count: Annotated[str, typer.Option(help="Contracts, such as 10 or 2.5.")],
    price: Annotated[str | None, typer.Option(help="Dollars at most for one: 0.96.")] = None,
    account: _Account = None,
    symbol: Annotated[str | None, typer.Option(help="The underlying, such as BTC.")] = None,
    strategy: Annotated[str | None, typer.Option(help="A name of your choice.")] = None,
    contract: Annotated[str | None, typer.Option(help="The market's title, for people.")] = None,
    strike: Annotated[str | None, typer.Option(help="Such as 114750.")] = None,
    prob: Annotated[str | None, typer.Option(help="Your estimate of winning, percent.")] = None,
    method: _Method = "manual",
    ticket: Annotated[str | None, typer.Option(help="The new trade's id; made if absent.")] = None,
    command_id: _CommandId = None,
    as_json: _AsJson = False,
) -> None:
    """Ask for a new trade: buy so many contracts of one side.

    Examples:

        tape trade open --ticker KXBTCD-25AUG0619-T114749.99 --side N --count 200

        tape trade open --ticker KXETHD-25AUG0619-T3599.99 --side Y --count 2.5
    """
    from streams.trading import open_trade

    command = open_trade(
        account=_account(account),
        ticker=ticker,
        side=_side(side),
        count=count,
        price=price,
        symbol=symbol,
        strategy=strategy,
        contract=contract,
        strike=strike,
        prob=prob,
        entry_method=cast("Method", method),
        ticket_id=ticket,
        command_id=command_id,
    )
    _record(command, f"open {count} {command.side} of {ticker}{_at_most(price)}", as_json)


@app.command()
def close(
    ticket: _Ticket,
    ticker: _Ticker = None,
    side: Annotated[
        str | None, typer.Option(help="The side to buy; without it, the opposite of the trade's.")
    ] = None,
    count: Annotated[str | None, typer.Option(help="Contracts; without it, all held.")] = None,
    price: Annotated[str | None, typer.Option(help="Dollars at most for one to buy: 0.02.")] = None,
    account: _TradesAccount = None,
    method: _Method = "manual",
    command_id: _CommandId = None,
    as_json: _AsJson = False,
) -> None:
    """Ask to close a trade by buying the other side.

    With --ticker and --side the database is not asked.

    Examples:

        tape trade close TICKET-1a2b3c4d5-1754518200000 --price 0.02

        tape trade close TICKET-1a2b3c4d5-1754518200000 --count 50
    """
    from streams.trading import close_trade

    to_buy = None if side is None else _side(side)
    if ticker is None or to_buy is None:
        trade = _find(ticket, "--ticker and --side")
        if trade["status"] in _OVER:
            raise UserError(
                f"{ticket} is {trade['status']}: there is nothing to close; "
                f"`tape trade show {ticket}` tells more"
            )
        opposite: Side = "no" if trade["side"] == "yes" else "yes"
        account = _agreed(ticket, "account", account, trade["account"])
        ticker = _agreed(ticket, "ticker", ticker, trade["ticker"])
        to_buy = cast("Side", _agreed(ticket, "side to buy", to_buy, opposite))
    command = close_trade(
        account=_account(account),
        ticker=ticker,
        ticket_id=ticket,
        side=to_buy,
        count=count,
        price=price,
        close_method=cast("Method", method),
        command_id=command_id,
    )
    size = "all that is held" if count is None else count
    _record(command, f"close {size}, to buy {command.side} of {ticker}{_at_most(price)},", as_json)


@app.command()
def cancel(
    ticket: _Ticket,
    ticker: _Ticker = None,
    account: _TradesAccount = None,
    reason: _Reason = None,
    command_id: _CommandId = None,
    as_json: _AsJson = False,
) -> None:
    """Ask to cancel what still rests of a trade's orders.

    With --ticker the database is not asked.

    Example: tape trade cancel TICKET-1a2b3c4d5-1754518200000 --reason "too late"
    """
    from streams.trading import cancel_trade

    account, ticker = _market(ticket, account, ticker)
    command = cancel_trade(
        account=account, ticker=ticker, ticket_id=ticket, reason=reason, command_id=command_id
    )
    _record(command, f"cancel on {ticker}", as_json)


@app.command()
def error(
    ticket: _Ticket,
    ticker: _Ticker = None,
    account: _TradesAccount = None,
    reason: _Reason = None,
    command_id: _CommandId = None,
    as_json: _AsJson = False,
) -> None:
    """Say that a trade never came about. It has no effect on one that bought something.

    With --ticker the database is not asked.

    Example: tape trade error TICKET-1a2b3c4d5-1754518200000 --reason "executor was down"
    """
    from streams.trading import mark_error

    account, ticker = _market(ticket, account, ticker)
    command = mark_error(
        account=account, ticker=ticker, ticket_id=ticket, reason=reason, command_id=command_id
    )
    _record(command, f"mark as error on {ticker}", as_json)


@app.command(name="list")
def list_trades(
    status: Annotated[
        str | None, typer.Option(help="pending, open, closing, closed, expired, canceled, error.")
    ] = None,
    account: _Account = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    as_json: _AsJson = False,
) -> None:
    """List an account's newest trades, the last one at the bottom. Times are Eastern.

    Examples:

        tape trade list --status open

        tape trade list --account kalshi/demo/main/0 --limit 1000 --json
    """
    from streams.cli.trade_tables import print_list
    from streams.reports.reading import reading
    from streams.reports.text import as_json as to_json
    from streams.reports.trades import STATUSES, newest_trades

    if status is not None and status not in STATUSES:
        raise UserError(f"{status!r} is no status; the statuses are {', '.join(STATUSES)}")
    whose = _account(account)
    with reading(_dsn()) as connection:
        newest = newest_trades(connection, whose, status, limit)
    if as_json:
        print(to_json(newest.trades))
    else:
        print_list(newest, whose, status)


@app.command()
def show(ticket: _Ticket, as_json: _AsJson = False) -> None:
    """Show a trade as it stands and all that the log says of it. Times are Eastern.

    Example: tape trade show TICKET-1a2b3c4d5-1754518200000
    """
    from streams.cli.trade_tables import print_trade
    from streams.reports.reading import reading
    from streams.reports.text import as_json as to_json
    from streams.reports.trades import find_trade, trade_history

    with reading(_dsn()) as connection:
        trade = find_trade(connection, ticket)
        history = trade_history(connection, ticket)
    if trade is None and not history:
        raise UserError(_unknown(ticket))
    if as_json:
        print(to_json({"trade": trade, "history": history}))
    else:
        print_trade(trade, history)


def _account(given: str | None) -> str:
    from streams.settings import load_settings

    return load_settings().account if given is None else given


def _side(text: str) -> Side:
    # What is neither is refused by the command itself.
    return cast("Side", _SIDES.get(text.lower(), text))


def _at_most(price: str | None) -> str:
    return "" if price is None else f" at most at {price}"


def _dsn() -> str:
    from streams.settings import endpoints, load_settings

    return endpoints(load_settings(), with_kafka=False).dsn


def _unknown(ticket: str) -> str:
    return (
        f"no trade with the ticket {ticket!r}; `tape trade list` shows the tickets. "
        "A trade that was asked for just now is there once a worker has projected it"
    )


def _find(ticket: str, instead: str) -> dict[str, Any]:
    from streams.reports.reading import reading
    from streams.reports.trades import find_trade

    with reading(_dsn()) as connection:
        trade = find_trade(connection, ticket)
    if trade is None:
        raise UserError(f"{_unknown(ticket)}; or give {instead}")
    return trade


def _agreed(ticket: str, what: str, given: str | None, found: str) -> str:
    if given is not None and given != found:
        raise UserError(f"the {what} of {ticket} is {found}, not {given}; leave the option out")
    return found


def _market(ticket: str, account: str | None, ticker: str | None) -> tuple[str, str]:
    if ticker is not None:
        return _account(account), ticker
    trade = _find(ticket, "--ticker")
    return _agreed(ticket, "account", account, trade["account"]), trade["ticker"]


def _record(command: TradeCommand, what: str, as_json: bool) -> None:
    from streams.cli.running import log_to_stderr
    from streams.producer import Producer
    from streams.settings import endpoints, load_settings
    from streams.trading import record

    async def run() -> Place:
        async with Producer(endpoints(load_settings(), with_postgres=False)) as producer:
            return await record(producer, command)

    log_to_stderr()
    place = asyncio.run(run())
    if as_json:
        about = {
            "type": command.ce_type(),
            "topic": command.topic,
            "position": str(place),
            "sent_to_venue": False,
        }
        print(json.dumps(about | json.loads(command.to_json()), indent=2))
    else:
        done = f"recorded: {command.ticket_id} {what} in {place}"
        print(f"{done}; {_what_follows(command.account)}")


def _what_follows(account: str) -> str:
    """Recording sends nothing; only the simulated account reads commands, while it runs."""
    if account.startswith("simulated/"):
        return "`tape simulate` acts on it if that account runs, nothing was sent to a venue"
    return "no executor is running, nothing was sent"
