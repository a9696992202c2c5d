"""What a client hears is what happened: every channel, folded, equals the truth."""

import asyncio
from decimal import Decimal
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

from streams.simulated.kalshi.orders import ZERO
from tests.venue.fake import FakeKalshi
from tests.venue.keys import api_key
from tests.venue.talking import Json, talk
from tests.venue.truth import BookState
from tests.venue.world import START, World

SECOND = 1_000_000


def fake(world: World, **options: Any) -> FakeKalshi:
    return FakeKalshi(world, keys=[api_key()], **options)


def of(frames: list[Json], kind: str) -> list[Json]:
    return [frame["msg"] for frame in frames if frame["type"] == kind]


class Book:
    """Books by market, folded from frames as the documentation says."""

    def __init__(self) -> None:
        self.sizes: dict[str, dict[str, dict[Decimal, Decimal]]] = {}
        self.states: dict[str, dict[int, BookState]] = {}

    def fold(self, frame: Json) -> None:
        msg = frame["msg"]
        ticker = msg["market_ticker"]
        if frame["type"] == "orderbook_snapshot":
            self.sizes[ticker] = {
                side: {Decimal(price): Decimal(size) for price, size in levels}
                for side, levels in (
                    ("yes", msg.get("yes_dollars_fp", [])),
                    ("no", msg.get("no_dollars_fp", [])),
                )
            }
        else:
            level, price = self.sizes[ticker][msg["side"]], Decimal(msg["price_dollars"])
            level[price] = level.get(price, ZERO) + Decimal(msg["delta_fp"])
        states = self.states.setdefault(ticker, {})
        states[msg["clock"]] = BookState.of(self.sizes[ticker])


async def test_a_book_folded_from_its_frames_is_the_venues_after_each_clock() -> None:
    world = World(2)
    world.step(10)
    async with fake(world) as venue, talk(venue) as client:
        tickers = list(world.markets)
        _, *snapshots = await client.ask(
            "subscribe", 4, channels=["orderbook_delta"], market_tickers=tickers
        )
        await venue.step(15)
        book = Book()
        for frame in [*snapshots, *await client.until_said()]:
            book.fold(frame)
        for ticker in tickers:
            truth = {
                clock: state
                for clock, state in world.truth.books[ticker].items()
                if clock >= min(book.states[ticker])
            }
            assert len(truth) > 5
            assert book.states[ticker] == truth


async def test_own_orders_are_named_in_the_changes_that_they_cause() -> None:
    world = World(2)
    world.step()
    async with fake(world) as venue, talk(venue) as client:
        ticker = next(iter(world.markets))
        await client.ask("subscribe", 2, channels=["orderbook_delta"], market_ticker=ticker)
        order_id = world.place(1, ticker, "yes", Decimal(3), Decimal("0.01"))
        assert order_id is not None
        (delta,) = of(await client.until_said(), "orderbook_delta")
        (order,) = world.truth.orders[1, order_id]
        assert delta["client_order_id"] == order.client_order_id
        assert delta["subaccount"] == 1
        assert (delta["side"], delta["price_dollars"], delta["delta_fp"]) == (
            "yes",
            "0.0100",
            "3.00",
        )


async def test_the_public_channels_say_all_that_happened() -> None:
    world = World(5)
    async with fake(world) as venue, talk(venue) as client:
        channels = ["trade", "ticker", "market_lifecycle_v2", "cfbenchmarks_value"]
        await client.ask("subscribe", 4, channels=channels, index_ids=["all"])
        listed = set(world.truth.listed)
        await venue.step(10)
        world.until_close()
        await venue.step(5)
        frames = await client.until_said()

    trades = of(frames, "trade")
    assert [trade["trade_id"] for trade in trades] == list(world.truth.trades)
    for trade in trades:
        made = world.truth.trades[trade["trade_id"]]
        assert Decimal(trade["yes_price_dollars"]) == made.yes_price
        assert Decimal(trade["yes_price_dollars"]) + Decimal(trade["no_price_dollars"]) == 1
        assert Decimal(trade["count_fp"]) == made.count
        assert trade["taker_outcome_side"] == made.taker
        assert trade["ts_ms"] == made.time // 1000

    tickers = of(frames, "ticker")
    assert len(tickers) == sum(len(quotes) for quotes in world.truth.quotes.values())

    steps = [(msg["market_ticker"], msg["event_type"]) for msg in of(frames, "market_lifecycle_v2")]
    for ticker in world.truth.settled:
        life = ["activated", "determined", "settled"]
        expected = life if ticker in listed else ["created", *life]
        assert [kind for of_ticker, kind in steps if of_ticker == ticker] == expected
    values = of(frames, "cfbenchmarks_value")
    assert [orjson.loads(value["data"])["time"] for value in values] == [
        value.time // 1000 for value in world.truth.index
    ]


async def test_the_strike_that_comes_later_is_metadata() -> None:
    world = World(5, start=START - 3600 * SECOND)
    async with fake(world) as venue, talk(venue) as client:
        await client.ask("subscribe", channels=["market_lifecycle_v2"])
        known = set(world.truth.listed)
        await venue.step(1, seconds=3600)
        frames = await client.until_said()
        created = [
            msg for msg in of(frames, "market_lifecycle_v2") if msg["event_type"] == "created"
        ]
        assert {msg["market_ticker"] for msg in created} == set(world.truth.listed) - known
        (later,) = [
            msg
            for msg in of(frames, "market_lifecycle_v2")
            if msg["event_type"] == "metadata_updated"
        ]
        struck = world.truth.struck[later["market_ticker"]]
        assert Decimal(str(later["floor_strike"])) == struck.floor_strike
        without = next(m for m in created if m["market_ticker"] == later["market_ticker"])
        assert "floor_strike" not in without["additional_metadata"]
        events = [msg["event_ticker"] for msg in of(frames, "event_lifecycle")]
        assert events == sorted(
            {one.event for one in world.truth.listed.values()}
            - {world.truth.listed[ticker].event for ticker in known}
        )


async def test_the_private_channels_say_all_that_the_account_did() -> None:
    world = World(6)
    async with fake(world) as venue, talk(venue) as client:
        await client.ask("subscribe", 3, channels=["fill", "user_orders", "market_positions"])
        await venue.step(40)
        frames = await client.until_said()
    assert all("seq" not in frame for frame in frames)
    assert all(frame["sending_ts_ms"] for frame in frames)

    fills = of(frames, "fill")
    assert {(fill["subaccount"], fill["trade_id"]) for fill in fills} == set(world.truth.fills)
    for fill in fills:
        one = world.truth.fills[fill["subaccount"], fill["trade_id"]]
        assert Decimal(fill["count_fp"]) == one.count
        assert Decimal(fill["yes_price_dollars"]) == one.yes_price
        assert Decimal(fill["post_position_fp"]) == one.post_position
        assert fill["book_side"] == ("bid" if one.side == "yes" else "ask")

    orders = of(frames, "user_order")
    assert len(orders) == sum(len(states) for states in world.truth.orders.values())
    assert {order["status"] for order in orders} == {"resting", "executed", "canceled"}
    newest = {(order["subaccount_number"], order["order_id"]): order for order in orders}
    for key, states in world.truth.orders.items():
        assert newest[key]["status"] == states[-1].status
        assert Decimal(newest[key]["remaining_count_fp"]) == states[-1].remaining
        assert newest[key]["ticker"] == states[-1].ticker

    positions = {
        (msg["subaccount"], msg["market_ticker"]): msg for msg in of(frames, "market_position")
    }
    assert {key: Decimal(msg["position_fp"]) for key, msg in positions.items()} == {
        key: states[-1].net for key, states in world.truth.positions.items()
    }


async def test_the_average_of_the_last_minute_before_a_quarter_hour_counts_its_values() -> None:
    world = World(5, start=START - 35 * SECOND)  # 21:58:55
    async with fake(world) as venue, talk(venue) as client:
        await client.ask("subscribe", channels=["cfbenchmarks_value"], index_ids=["BRTI"])
        await venue.step(66)  # to 22:00:01
        values = of(await client.until_said(), "cfbenchmarks_value")
        windows = [value.get("last_60s_windowed_average_15min", {}) for value in values]
        assert windows[:5] == [{}] * 5, "up to 21:59:00"
        assert [window["window_size"] for window in windows[5:65]] == list(range(1, 61))
        assert windows[65] == {}
        last = [value.value for value in world.truth.index[5:65]]
        assert windows[64]["value"] == f"{sum(last) / 60:.8f}"
        assert values[0]["avg_60s_data"]["window_size"] == 0
        assert values[65]["avg_60s_data"]["window_size"] == 60


class Hearing(ClientConnection):
    """A connection that keeps the bodies of the pings that it gets."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.pings: asyncio.Queue[bytes] = asyncio.Queue()

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pings.put_nowait(bytes(event.data))
        super().process_event(event)


async def test_frames_end_with_a_newline_and_pings_say_heartbeat() -> None:
    async with fake(World(1), ping_every=0.01) as venue:
        headers = api_key().headers("/trade-api/ws/v2")
        async with connect(
            venue.websocket_url, additional_headers=headers, create_connection=Hearing
        ) as socket:
            assert isinstance(socket, Hearing)
            await socket.send('{"id":1,"cmd":"list_subscriptions"}')
            assert str(await socket.recv()).endswith("}\n")
            assert [await socket.pings.get() for _ in range(3)] == [b"heartbeat"] * 3


async def test_a_subscription_that_falls_behind_is_ended_by_an_error() -> None:
    world = World(1)
    world.step(2)
    async with fake(world, buffer=50) as venue, talk(venue) as client:
        tickers = list(world.markets)
        await client.ask("subscribe", 4, channels=["orderbook_delta"], market_tickers=tickers)
        world.step(100)
        frames = await client.until_said()
        assert frames[-1]["type"] == "error"
        assert frames[-1]["msg"]["code"] == 25
        assert len(frames) == 51
        assert frames[-1]["seq"] == frames[-2]["seq"] + 2, "one more was numbered, but not sent"
        (listed,) = await client.ask("list_subscriptions")
        assert listed["msg"] == []
