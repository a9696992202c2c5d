"""What pages read of the tables, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from streams.console.history import History
from streams.console.letters import listed, whole
from streams.console.problem import Problem, json_response
from streams.console.reads import Reads
from streams.console.shared import Shared
from streams.reports import accounts, book, prices, trades
from streams.reports.dead_letters import Chosen, read_dead_letters, read_records

__all__ = ["api"]

_LONGEST_NAME = 200

Name = Annotated[str | None, Query(max_length=_LONGEST_NAME)]
Limit = Annotated[int, Query(ge=1, le=500)]
#: Of the page before, where its `next` came from.
Cursor = Annotated[str | None, Query(max_length=2 * _LONGEST_NAME)]


def api(reads: Reads, history: History) -> APIRouter:
    """Everything below /api that changes nothing."""
    router = APIRouter(prefix="/api")
    router.include_router(_trades(reads))
    router.include_router(_accounts(reads))
    router.include_router(_markets(reads))
    router.include_router(_dead_letters(reads))

    @router.get("/history")
    async def lag_history(since: int = 0) -> Response:
        return json_response(history.since(since))

    return router


def _trades(reads: Reads) -> APIRouter:
    router = APIRouter()

    async def look_at_active() -> Response:
        rows = await reads.read(lambda connection: trades.active_trades(connection, 500))
        return json_response({"trades": rows})

    router.add_api_route("/active-trades", Shared(look_at_active).get)

    @router.get("/trades")
    async def listed_trades(
        account: Name = None,
        status: Name = None,
        ticker: Name = None,
        before: Cursor = None,
        limit: Limit = 50,
    ) -> Response:
        wanted = trades.Wanted(account or None, status or None, ticker or None)
        place = _place(before)
        rows = await reads.read(lambda c: trades.trades_before(c, wanted, place, limit))
        return json_response({"trades": rows, "next": _next(rows, limit, "asked_at", "ticket_id")})

    @router.get("/trades/{ticket:path}")
    async def one_trade(ticket: str) -> Response:
        def look(connection: Any) -> dict[str, Any]:
            return {
                "trade": trades.find_trade(connection, ticket),
                "prices": trades.prices_of_trade(connection, ticket),
                "fills": trades.fills_of_trade(connection, ticket),
                "log": trades.trade_history(connection, ticket),
            }

        found = await reads.read(look)
        if found["trade"] is None and not found["log"]:
            raise Problem(404, f"the tables know no trade with the ticket {ticket}")
        return json_response(found)

    return router


def _accounts(reads: Reads) -> APIRouter:
    router = APIRouter()

    @router.get("/accounts")
    async def known() -> Response:
        return json_response({"accounts": await reads.read(accounts.read_accounts)})

    @router.get("/positions")
    async def positions(account: Name = None, held: bool = True, limit: Limit = 200) -> Response:
        rows = await reads.read(
            lambda c: accounts.read_positions(c, account or None, limit, held=held)
        )
        return json_response({"positions": rows})

    @router.get("/fills")
    async def fills(account: Name = None, before: Cursor = None, limit: Limit = 50) -> Response:
        place = _place(before)
        rows = await reads.read(lambda c: accounts.fills_before(c, account or None, place, limit))
        return json_response({"fills": rows, "next": _next(rows, limit, "time", "trade_id")})

    @router.get("/cash")
    async def cash(
        account: Annotated[str, Query(max_length=_LONGEST_NAME)], limit: Limit = 100
    ) -> Response:
        rows = await reads.read(lambda c: accounts.read_ledger(c, account, limit))
        return json_response({"ledger": rows})

    return router


def _markets(reads: Reads) -> APIRouter:
    router = APIRouter()

    async def look_at_symbols() -> Response:
        return json_response({"symbols": await reads.read(prices.read_symbols)})

    router.add_api_route("/symbols", Shared(look_at_symbols).get)

    @router.get("/prices/{venue}/{symbol}")
    async def bars(
        venue: str, symbol: str, span: str = "15m", since: Annotated[int, Query(ge=0)] = 0
    ) -> Response:
        if span not in prices.SPANS:
            raise Problem(400, f"{span!r} is no span; there are {', '.join(prices.SPANS)}")
        chosen = prices.SPANS[span]
        begin = datetime.fromtimestamp(since, UTC) if since else None
        rows = await reads.read(lambda c: prices.price_bars(c, venue, symbol, chosen, begin))
        return json_response({"step": chosen.step, "bars": rows})

    @router.get("/books")
    async def books(ticker: Name = None, limit: Limit = 50) -> Response:
        rows = await reads.read(lambda c: book.read_books(c, ticker or None, limit))
        return json_response({"books": rows})

    @router.get("/books/{venue}/{ticker}")
    async def one_book(venue: str, ticker: str) -> Response:
        found = await reads.read(lambda c: book.read_book(c, venue, ticker))
        if found is None:
            raise Problem(404, f"the tables know no market {ticker} of {venue}")
        return json_response({**asdict(found), "spread": found.spread})

    return router


def _dead_letters(reads: Reads) -> APIRouter:
    router = APIRouter(prefix="/dead-letters")

    @router.get("")
    async def some(
        topic: Name = None,
        projection: Name = None,
        error: Name = None,
        done: bool = False,
        limit: Limit = 50,
    ) -> Response:
        chosen = Chosen(topic or None, projection or None, error or None)
        found = await reads.read(lambda c: read_dead_letters(c, chosen, limit, with_done=done))
        counts = {"frames": found.frames, "records": found.records, "done": found.done}
        return json_response({"letters": [listed(one) for one in found.listed], **counts})

    @router.get("/{topic}/{partition}/{offset}")
    async def one(topic: str, partition: int, offset: int) -> Response:
        chosen = Chosen(topic, partition=partition, offset=offset)
        found = await reads.read(lambda connection: read_records(connection, chosen))
        if not found:
            raise Problem(404, f"{topic}[{partition}]@{offset} is no dead letter")
        return json_response({"letters": [whole(letter) for letter in found]})

    return router


def _next(rows: Sequence[dict[str, Any]], limit: int, time: str, name: str) -> str | None:
    """The cursor of the page after these rows; None where they are the last."""
    return f"{rows[-1][time].isoformat()}~{rows[-1][name]}" if len(rows) == limit else None


def _place(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    time, _, name = cursor.partition("~")
    try:
        return datetime.fromisoformat(time), name
    except ValueError:
        raise Problem(400, f"{cursor!r} is no place to go on from") from None
