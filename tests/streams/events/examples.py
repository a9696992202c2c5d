"""A good event of each kind, as JSON has it, and what its fields must refuse."""

from __future__ import annotations

import json
from typing import Any

Fields = dict[str, Any]

TIME: Fields = {"time": 1_754_518_200_000_000}
RECEIVED: Fields = {"received": 1_754_518_201_000_000, "raw": None}
TICKER: Fields = {"ticker": "KXBTCD-25AUG0619-T114749.99"}
ACCOUNT: Fields = {"account": "kalshi/prod/main/0", "origin": "native"}
OF_ACCOUNT = ACCOUNT | RECEIVED
OF_VENUE = {"venue": "kalshi"} | TICKER | TIME | RECEIVED
OF_BOOK = OF_VENUE | {"connection": "c1", "sid": 2, "seq": 3, "clock": None}
TICKET = ACCOUNT | TICKER | TIME | {"ticket_id": "TICKET-1a2b3c4d5-1754518200000"}
DECISION = TIME | {
    "decision_id": "0b8a4a1e-8f1c-4d6e-9c53-1f2a3b4c5d6e",
    "operator": "ann",
    "why": None,
    "projection": "prices",
}
LETTERS = DECISION | {
    "of_topic": "price.ticks",
    "of_topic_id": "5d6e0b8a-4a1e-4d6e-9c53-1f2a3b4c5d6e",
    "partition": 0,
    "offsets": [4041],
}
SWAP = DECISION | {
    "from_generation": 1,
    "from_version": 1,
    "to_generation": 2,
    "to_version": 2,
    "reached": [{"topic": "price.ticks", "partition": 0, "next_offset": 4042}],
}
COMMAND = TICKET | {"command_id": "C1"}


def _and(common: Fields, own: str) -> Fields:
    fields: Fields = json.loads(own)
    return common | fields


GOOD: dict[str, Fields] = {
    "account.fill": _and(
        OF_ACCOUNT | TICKER | TIME,
        """{"trade_id": "F1", "order_id": "O1", "client_order_id": null, "side": "no",
        "yes_price": "0.04", "count": "20.00", "fee": "0.06", "is_taker": true,
        "post_position": "-20"}""",
    ),
    "account.order": _and(
        OF_ACCOUNT | TICKER,
        """{"order_id": "O1", "client_order_id": null, "side": "no", "status": "executed",
        "kind": "limit", "yes_price": "0.01", "initial_count": "20", "fill_count": "20",
        "remaining_count": "0", "fill_cost": "19.20", "fees": "0.06",
        "created": 1754518200000000, "updated": null, "expires": null, "reason": null}""",
    ),
    "account.position": _and(
        OF_ACCOUNT | TICKER | TIME,
        '{"position": "-200", "cost": "192.00", "realized_pnl": "0", "fees": "0.54"}',
    ),
    "account.settlement": _and(
        OF_ACCOUNT | TICKER | TIME,
        """{"result": "no", "value": "0", "yes_count": "0", "no_count": "200",
        "yes_cost": null, "no_cost": "188.00", "revenue": "200.00", "fee": null}""",
    ),
    "account.balance": _and(
        OF_ACCOUNT | TIME, '{"balance": "1234.56", "exact": false, "portfolio_value": null}'
    ),
    "account.transfer": _and(
        OF_ACCOUNT,
        """{"kind": "deposit", "transfer_id": "D1", "status": "applied", "method": null,
        "amount": "100.00", "fee": "0", "created": 1754518200000000, "finalized": null}""",
    ),
    "account.snapshot_started": _and(OF_ACCOUNT | TIME, '{"snapshot_id": "S1"}'),
    "account.snapshot_finished": _and(
        OF_ACCOUNT | TIME, '{"snapshot_id": "S1", "tickers": ["KXU3"]}'
    ),
    "command.open": _and(
        COMMAND,
        """{"side": "no", "count": "200", "price": "0.96", "symbol": "BTC", "market": "Kalshi",
        "strategy": "Hourly HTC", "contract": "BTC 7pm", "strike": "114750", "prob": "97.2",
        "entry_method": "auto"}""",
    ),
    "command.close": _and(
        COMMAND, '{"side": "yes", "count": null, "price": "0.02", "close_method": "manual"}'
    ),
    "command.cancel": _and(COMMAND, '{"reason": null}'),
    "command.mark_error": _and(COMMAND, '{"reason": "never came about"}'),
    "trade.order_accepted": _and(TICKET, '{"command_id": null, "order_id": "O1"}'),
    "trade.order_rejected": _and(TICKET, '{"command_id": "C1", "reason": "no balance"}'),
    "trade.close_failed": _and(TICKET, '{"command_id": null, "reason": null}'),
    "trade.expired": TICKET,
    "market.ticker": _and(
        OF_VENUE,
        """{"yes_bid": "0.50", "yes_ask": "0.51", "yes_bid_size": "0", "yes_ask_size": null,
        "last_price": null, "last_size": null, "volume": "5", "open_interest": null,
        "dollar_volume": null, "dollar_open_interest": null, "volume_delta": "-1",
        "open_interest_delta": null, "dollar_volume_delta": null,
        "dollar_open_interest_delta": null, "connection": null, "sid": null, "arrival": null}""",
    ),
    "market.trade": _and(
        OF_VENUE,
        """{"trade_id": "T1", "yes_price": "0.36", "count": "136.00", "taker_side": "no",
        "is_block": false}""",
    ),
    "market.book_snapshot": _and(
        OF_BOOK,
        """{"opened": 1754518100000000, "yes": [["0.08", "300.00"], ["0.22", "333.00"]],
        "no": []}""",
    ),
    "market.book_delta": _and(
        OF_BOOK, '{"previous": 2, "side": "yes", "price": "0.96", "delta": "-54.00"}'
    ),
    "market.gap": {
        **_and({"venue": "kalshi"} | TICKER, '{"connection": "c1", "sid": 2, "expected": 3}'),
        "got": 5,
        "reason": "3 came not",
        "received": 1_754_518_201_000_000,
    },
    "market.candle": _and(
        {"venue": "kalshi"} | TICKER | RECEIVED | {"end": 1_754_518_200_000_000},
        """{"minutes": 60, "yes_bid_open": "0.50", "yes_bid_high": null, "yes_bid_low": null,
        "yes_bid_close": "0.51", "yes_ask_open": null, "yes_ask_high": null,
        "yes_ask_low": null, "yes_ask_close": null, "open": null, "high": null, "low": null,
        "close": null, "mean": null, "previous": null, "volume": "0", "open_interest": "2"}""",
    ),
    "health.heartbeat": _and(
        TIME,
        """{"service": "producer/coinbase", "instance": "host/1/1754518200000000",
        "state": "connected", "since": 1754518200000000, "detail": null, "last_frame": null,
        "frames": 5, "frames_per_second": "1.25", "events": 5, "reconnects": 0, "gaps": 0,
        "unparsed": 0, "clock_skew": -1250, "cpu_percent": "3.5", "memory_bytes": 90000000}""",
    ),
    "health.restart": _and(
        TIME,
        """{"service": "process/worker-1", "supervisor": "tape-up", "action": "restarted",
        "reason": "SIGKILL", "restarts": 3, "pause_ms": 1500}""",
    ),
    "health.incident": _and(
        TIME,
        """{"incident": "feed/coinbase@1754518200000000", "action": "opened",
        "severity": "critical", "cause": "feed/coinbase", "title": "coinbase sends nothing",
        "detail": "first line\\nsecond line", "symptoms": ["no frame for 60 s", "lag grows"],
        "opened": 1754518200000000, "closed": null, "service": "monitor"}""",
    ),
    "lifecycle.described": _and(
        OF_VENUE,
        """{"series": "KXBTCD", "event_ticker": null, "title": null, "subtitle": null,
        "strike_type": null, "floor_strike": "114749.99", "cap_strike": null, "opens": null,
        "closes": null, "status": null}""",
    ),
    "lifecycle.determined": _and(OF_VENUE, '{"result": "yes", "value": "1"}'),
    "lifecycle.settled": OF_VENUE,
    "decision.dead_letters_redriven": LETTERS | {"generation": 2},
    "decision.dead_letters_discarded": LETTERS,
    "decision.projection_rebuilt": SWAP,
    "decision.projection_repaired": DECISION | {"generation": 2, "keys": ["coinbase:BTC-USD"]},
    "decision.projection_rolled_back": SWAP,
    "decision.gap_accepted": DECISION
    | {
        "generation": 1,
        "of_topic": "price.ticks",
        "partition": 0,
        "from_offset": 5,
        "to_offset": 9,
    },
    "decision.log_restored": DECISION
    | {
        "of_topic": "price.ticks",
        "of_topic_id": "5d6e0b8a-4a1e-4d6e-9c53-1f2a3b4c5d6e",
        "to_topic_id": "6d6e0b8a-4a1e-4d6e-9c53-1f2a3b4c5d6e",
        "reached": SWAP["reached"],
    },
}

#: JSON numbers, other notations, too many digits, a zero with a sign, a NUL.
NO_DECIMAL: list[object] = [
    *(0.5, 1, 0, True, [], {}),
    *("NaN", "Infinity", "1e-1", "+1", ".5", "0.", "00", "01", "", " 0", "0\n", "0,5", "0_1"),
    *("-0", "-0.00", "0." + "1" * 11, "1" * 21, "0\x00", "\N{FULLWIDTH DIGIT ONE}"),
]
NO_SIZE = [*NO_DECIMAL, "-1", "-0.01"]
NO_COUNT = [*NO_SIZE, "0", "0.00", None]
NO_PRICE = [*NO_SIZE, "1.01", "1.0000000001", "2", "100"]
NO_ID: list[object] = [
    *(1, "", "a\x00", "\x00", "a\n", "\N{LATIN SMALL LETTER E WITH ACUTE}", "1" * 201),
]
NO_ACCOUNT: list[object] = [
    *(1, None, "", "kalshi", "kalshi/prod/main", "kalshi/prod/main/", "kalshi/prod//0"),
    *("kalshi/test/main/0", "Kalshi/prod/main/0", "kalshi/prod/main/64", "kalshi/prod/main/-1"),
    *("kalshi/prod/main/00", "kalshi/prod/main/0/0", "kalshi/prod/m n/0", "kalshi/prod/main/0\n"),
    *("kalshi/prod/main\x00/0", " kalshi/prod/main/0", "kalshi/prod/" + "m" * 65 + "/0"),
]
NO_TICKER: list[object] = [1, "", "KX BTC", "-KX", "KX\x00", "KX\n", "K" * 129, "KX/U3"]
NO_TIME: list[object] = [0, -1, 1_230_767_999_999_999, 1.7e15, "1754518200000000", True]
NO_LEVELS: list[object] = [None, {}, [["0.5"]], [["2", "1"]], [[0.5, "1"]], [["0.5", "-1"]]]
NO_NUMBER: list[object] = [None, -1, "1", 0.5, True, 2**63]
NO_SMALL_NUMBER = [*NO_NUMBER, 2**31]
NO_GENERATION = [*NO_SMALL_NUMBER, 0]
NO_SYMPTOMS: list[object] = [None, "lag", [1], [None], [""], ["x" * 501], ["x"] * 101]
NO_UUID: list[object] = [None, 1, "", "x", "0B8A4A1E-8F1C-4D6E-9C53-1F2A3B4C5D6E"]

#: What a field of this name refuses, whatever event it stands in.
REFUSED: dict[str, list[object]] = {
    "account": NO_ACCOUNT,
    "origin": ["other", "", None, 1],
    "side": ["Yes", "Y", "buy", "", None, 1, True],
    "result": ["void", "", None, 1],
    "status": ["filled", "Executed", "", None, 1],
    "exact": ["maybe", None, 2],
    "is_block": ["maybe", 2],
    "delta": [*NO_DECIMAL, None],
    **dict.fromkeys(["yes", "no"], NO_LEVELS),
    **dict.fromkeys(["seq", "previous", "frames"], NO_NUMBER),
    **dict.fromkeys(["end", "opened", "since"], NO_TIME),
    **dict.fromkeys(["service", "instance", "supervisor", "incident", "cause"], NO_ID),
    "title": [1, "x" * 2001],
    "detail": [1, "x" * 2001],
    "symptoms": NO_SYMPTOMS,
    "closed": NO_TIME,
    **dict.fromkeys(["restarts", "pause_ms"], NO_NUMBER),
    **dict.fromkeys(["yes_bid_open", "open", "high", "low", "close", "mean"], NO_PRICE),
    "is_taker": ["maybe", 2],
    "tickers": [None, "KXU3", {}, [None], *([ticker] for ticker in NO_TICKER)],
    "raw": [1, {}, "x" * 500_001],
    "reason": [1, "x" * 2001],
    **dict.fromkeys(["decision_id", "of_topic_id", "to_topic_id"], NO_UUID),
    "operator": [None, 1, "", "x" * 201],
    "why": [1, "x" * 2001],
    "projection": [None, 1, "", "Prices", "a b", "x" * 49],
    "of_topic": [None, 1, "", "a b", "x" * 250],
    "offsets": [None, [], [-1], ["1"], [0.5], [None], list(range(1001))],
    **dict.fromkeys(["partition", "from_version", "to_version"], NO_SMALL_NUMBER),
    **dict.fromkeys(["from_generation", "to_generation"], NO_GENERATION),
    **dict.fromkeys(["from_offset", "to_offset"], NO_NUMBER),
    "generation": [-1, 0, "1", 0.5, True, 2**31],
    "reached": [None, [None], [{}], [{"topic": "t", "partition": 0, "next_offset": -1}]],
    "entry_method": ["robot", "", 1],
    "close_method": ["expired", "", 1],
    **dict.fromkeys(["ticker", "series", "event_ticker"], NO_TICKER),
    **dict.fromkeys(["trade_id", "order_id", "client_order_id", "transfer_id"], NO_ID),
    **dict.fromkeys(["snapshot_id", "ticket_id", "command_id"], NO_ID),
    **dict.fromkeys(["time", "received", "created", "updated", "expires", "opens"], NO_TIME),
    **dict.fromkeys(["yes_price", "price", "value", "yes_bid", "yes_ask", "last_price"], NO_PRICE),
    **dict.fromkeys(["initial_count", "fill_count", "remaining_count", "last_size"], NO_SIZE),
    **dict.fromkeys(["yes_count", "no_count", "amount", "volume"], NO_SIZE),
    **dict.fromkeys(["yes_bid_size", "yes_ask_size", "open_interest"], NO_SIZE),
    **dict.fromkeys(["fee", "fees", "post_position", "position", "cost", "fill_cost"], NO_DECIMAL),
    **dict.fromkeys(["realized_pnl", "yes_cost", "no_cost", "revenue", "balance"], NO_DECIMAL),
    **dict.fromkeys(
        ["strike", "floor_strike", "portfolio_value", "prob", "volume_delta", "dollar_volume"],
        NO_DECIMAL,
    ),
}

#: The names that mean something else, or must be there, in one event.
REFUSED_BY: dict[tuple[str, str], list[object]] = {
    ("account.fill", "yes_price"): [*NO_PRICE, None],
    ("account.fill", "count"): NO_COUNT,
    ("account.fill", "trade_id"): [*NO_ID, None],
    ("account.order", "order_id"): [*NO_ID, None],
    ("account.order", "kind"): ["stop", "", 1],
    ("account.order", "initial_count"): [*NO_SIZE, None],
    ("account.settlement", "revenue"): [*NO_DECIMAL, None],
    ("account.balance", "balance"): [*NO_DECIMAL, None],
    ("account.transfer", "fee"): [*NO_SIZE, None],
    ("account.transfer", "kind"): ["gift", "", None, 1],
    ("command.open", "count"): NO_COUNT,
    ("command.open", "command_id"): [*NO_ID, None],
    ("command.open", "ticket_id"): [*NO_ID, None],
    ("command.open", "ticker"): [*NO_TICKER, None],
    ("command.close", "count"): NO_COUNT[:-1],
    ("trade.order_accepted", "order_id"): [*NO_ID, None],
    ("lifecycle.described", "status"): [1],
    ("market.trade", "count"): NO_COUNT,
    ("market.trade", "trade_id"): [*NO_ID, None],
    ("market.trade", "taker_side"): ["Yes", "buy", "", 1],
    ("market.candle", "previous"): NO_PRICE,
    ("market.candle", "minutes"): [5, "60", None],
    ("health.heartbeat", "state"): ["fine", "", None],
    ("health.heartbeat", "clock_skew"): ["1", 0.5, True],
    ("health.restart", "action"): ["gone", "", None, 1],
    ("health.restart", "reason"): [None, 1, "x" * 2001],
    ("health.incident", "action"): ["forgotten", "", None, 1],
    ("health.incident", "severity"): ["info", "", None, 1],
    ("health.incident", "title"): [None, 1, "", "x" * 501],
    ("health.incident", "opened"): [*NO_TIME, None],
}


def refusals(name: str, field: str) -> list[object]:
    """What this field of this event must refuse."""
    return REFUSED_BY.get((name, field), REFUSED.get(field, []))
