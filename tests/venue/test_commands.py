"""Commands of the WebSocket, as the venue answers them."""

from typing import Any

import pytest

from tests.venue.fake import FakeKalshi
from tests.venue.faults import Faults
from tests.venue.keys import api_key
from tests.venue.talking import Json, talk
from tests.venue.world import World


def ready(steps: int = 5, **options: Any) -> FakeKalshi:
    """A venue in which something has happened."""
    world = World(1)
    world.step(steps)
    return FakeKalshi(world, keys=[api_key()], **options)


def kinds(frames: list[Json]) -> list[str]:
    return [frame["type"] for frame in frames]


def code(frame: Json) -> int:
    assert frame["type"] == "error"
    number = frame["msg"]["code"]
    assert isinstance(number, int)
    return number


async def test_a_subscribe_of_several_channels_has_a_reply_for_each_good_or_bad() -> None:
    async with ready() as venue, talk(venue) as client:
        replies = await client.ask("subscribe", 3, channels=["trade", "nonsense", "fill"])
        assert kinds(replies) == ["subscribed", "error", "subscribed"]
        assert {reply["id"] for reply in replies} == {1}
        assert replies[0]["msg"] == {"channel": "trade", "sid": 1}
        assert "seq" not in replies[0]
        assert code(replies[1]) == 8
        assert replies[2]["msg"] == {"channel": "fill", "sid": 2}


async def test_a_book_subscription_begins_with_a_snapshot_of_each_market() -> None:
    async with ready() as venue, talk(venue) as client:
        tickers = list(venue.world.markets)
        first, *snapshots = await client.ask(
            "subscribe", 4, channels=["orderbook_delta"], market_tickers=tickers
        )
        assert first["type"] == "subscribed"
        assert kinds(snapshots) == ["orderbook_snapshot"] * 3
        assert [frame["seq"] for frame in snapshots] == [1, 2, 3]
        assert [frame["msg"]["market_ticker"] for frame in snapshots] == tickers
        for frame in snapshots:
            states = venue.world.truth.books[frame["msg"]["market_ticker"]]
            assert frame["msg"]["clock"] == max(states)


async def test_the_side_without_bids_is_absent_and_an_unknown_market_has_no_id() -> None:
    async with ready() as venue, talk(venue) as client:
        later = next(one for one in venue.world.truth.listed if one not in venue.world.markets)
        _, empty, unknown = await client.ask(
            "subscribe", 3, channels=["orderbook_delta"], market_tickers=[later, "KXBTCD-NONE"]
        )
        assert set(empty["msg"]) == {"market_ticker", "market_id", "clock"}
        assert empty["msg"]["market_id"] != ""
        assert unknown["msg"]["market_id"] == ""


async def test_ok_and_unsubscribed_use_numbers_up_and_subscribed_does_not() -> None:
    async with ready() as venue, talk(venue) as client:
        one, two, three = venue.world.markets
        await client.ask("subscribe", 2, channels=["orderbook_delta"], market_ticker=one)
        again = await client.ask("subscribe", 2, channels=["orderbook_delta"], market_ticker=two)
        assert kinds(again) == ["ok", "orderbook_snapshot"]
        assert again[0]["msg"] == {"market_tickers": [one, two]}
        added = await client.ask(
            "update_subscription", 2, sids=[1], action="add_markets", market_tickers=[one, three]
        )
        assert kinds(added) == ["ok", "orderbook_snapshot"]
        assert added[0]["msg"] == {"market_tickers": [one, two, three]}
        assert added[1]["msg"]["market_ticker"] == three, "a market that was there has no snapshot"
        (gone,) = await client.ask("unsubscribe", sids=[1])
        assert gone == {
            "type": "unsubscribed",
            "id": 4,
            "sid": 1,
            "seq": 6,
            "sending_ts_ms": gone["sending_ts_ms"],
        }
        assert [frame["seq"] for frame in [*again, *added]] == [2, 3, 4, 5]


async def test_numbers_are_shared_by_the_markets_of_a_subscription_and_have_no_gaps() -> None:
    async with ready() as venue, talk(venue) as client:
        tickers = list(venue.world.markets)
        await client.ask("subscribe", 4, channels=["orderbook_delta"], market_tickers=tickers)
        await venue.step(10)
        frames = await client.until_said()
        assert {frame["msg"]["market_ticker"] for frame in frames} == set(tickers)
        assert [frame["seq"] for frame in frames] == list(range(4, 4 + len(frames)))


async def test_a_new_connection_begins_anew_with_sid_and_number() -> None:
    async with ready() as venue:
        ticker = next(iter(venue.world.markets))
        for _ in range(2):
            async with talk(venue) as client:
                first, snapshot = await client.ask(
                    "subscribe", 2, channels=["orderbook_delta"], market_ticker=ticker
                )
                assert first["msg"]["sid"] == snapshot["sid"] == snapshot["seq"] == 1


async def test_a_deleted_market_is_heard_of_no_more() -> None:
    async with ready() as venue, talk(venue) as client:
        one, two, _ = venue.world.markets
        await client.ask("subscribe", 3, channels=["orderbook_delta"], market_tickers=[one, two])
        (left,) = await client.ask(
            "update_subscription", sid=1, action="delete_markets", market_tickers=[one]
        )
        assert left["msg"] == {"market_tickers": [two]}
        await venue.step(10)
        frames = await client.until_said()
        assert {frame["msg"]["market_ticker"] for frame in frames} == {two}


async def test_get_snapshot_answers_with_snapshots_and_changes_nothing() -> None:
    async with ready() as venue, talk(venue) as client:
        one, two, _ = venue.world.markets
        await client.ask("subscribe", 3, channels=["orderbook_delta"], market_tickers=[one, two])
        again = await client.ask(
            "update_subscription", sids=[1], action="get_snapshot", market_tickers=[one]
        )
        assert kinds(again) == ["orderbook_snapshot"]
        assert (again[0]["id"], again[0]["seq"]) == (2, 3)
        await venue.step(10)
        frames = await client.until_said()
        assert {frame["msg"]["market_ticker"] for frame in frames} == {one, two}
        assert frames[0]["seq"] == 4


async def test_list_subscriptions_names_those_that_are_left() -> None:
    async with ready() as venue, talk(venue) as client:
        await client.ask("subscribe", 3, channels=["trade", "ticker", "fill"])
        await client.ask("unsubscribe", sids=[2])
        (listed,) = await client.ask("list_subscriptions")
        assert listed["msg"] == [{"channel": "trade", "sid": 1}, {"channel": "fill", "sid": 3}]


async def test_a_ticker_subscription_may_begin_with_what_is_quoted() -> None:
    async with ready() as venue, talk(venue) as client:
        tickers = list(venue.world.markets)
        replies = await client.ask(
            "subscribe", 4, channels=["ticker"], market_tickers=tickers, send_initial_snapshot=True
        )
        assert kinds(replies) == ["subscribed", "ticker", "ticker", "ticker"]
        assert all("seq" not in reply for reply in replies)


async def test_the_ticker_channel_takes_market_ids_and_answers_with_them() -> None:
    async with ready() as venue, talk(venue) as client:
        one, two, _ = [venue.world.truth.listed[ticker].market_id for ticker in venue.world.markets]
        await client.ask("subscribe", channels=["ticker"], market_id=one)
        (added,) = await client.ask(
            "update_subscription", sid=1, action="add_markets", market_ids=[two]
        )
        assert added["msg"] == {"market_ids": [one, two]}
        await venue.step(3)
        assert {frame["msg"]["market_id"] for frame in await client.until_said()} == {one, two}


async def test_acknowledgements_leave_the_markets_out_where_it_was_asked_for() -> None:
    async with ready() as venue, talk(venue) as client:
        one, two, _ = venue.world.markets
        await client.ask("subscribe", channels=["trade"], market_ticker=one, skip_ticker_ack=True)
        (added,) = await client.ask(
            "update_subscription", sid=1, action="add_markets", market_ticker=two
        )
        assert added["msg"] == {}


async def test_indices_are_added_removed_and_listed() -> None:
    async with ready() as venue, talk(venue) as client:
        await client.ask("subscribe", channels=["cfbenchmarks_value"])
        await venue.step(2)
        assert await client.until_said() == [], "without indices nothing is said"
        (known,) = await client.ask("update_subscription", sid=1, action="indexlist")
        assert known["msg"] == {"index_ids": ["BRTI"]}
        (added,) = await client.ask(
            "update_subscription", sid=1, action="subscribe_indices", index_ids=["BRTI"]
        )
        assert added["msg"] == {"index_ids": ["BRTI"]}
        await venue.step(2)
        assert kinds(await client.until_said()) == ["cfbenchmarks_value"] * 2
        (every,) = await client.ask(
            "update_subscription", sid=1, action="subscribe_indices", index_ids=["all"]
        )
        assert every["msg"] == {"index_ids": ["all"]}
        (none,) = await client.ask(
            "update_subscription", sid=1, action="unsubscribe_indices", index_ids=["all"]
        )
        assert none["msg"] == {"index_ids": []}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("no JSON", 1),
        ("[]", 1),
        ('{"id":1,"cmd":"dance","params":{}}', 5),
        ('{"id":1,"cmd":"subscribe"}', 2),
        ('{"id":1,"cmd":"subscribe","params":{}}', 3),
        ('{"id":1,"cmd":"subscribe","params":{"channels":["orderbook_delta"]}}', 14),
        ('{"id":1,"cmd":"subscribe","params":{"channels":["trade"],"market_ticker":1}}', 11),
        ('{"id":1,"cmd":"subscribe","params":{"channels":["trade"],"market_ids":["1"]}}', 11),
        ('{"id":1,"cmd":"subscribe","params":{"channels":["trade"],"use_yes_price":true}}', 11),
        ('{"id":1,"cmd":"unsubscribe","params":{}}', 4),
        ('{"id":1,"cmd":"unsubscribe","params":{"sids":[9]}}', 7),
        ('{"id":1,"cmd":"update_subscription","params":{"action":"add_markets"}}', 12),
        ('{"id":1,"cmd":"update_subscription","params":{"sids":[1,2]}}', 12),
        ('{"id":1,"cmd":"update_subscription","params":{"sid":9}}', 7),
    ],
)
async def test_a_bad_command_is_answered_by_its_error(message: str, expected: int) -> None:
    async with ready() as venue, talk(venue) as client:
        await client.socket.send(message)
        frame = await client.frame()
        assert code(frame) == expected
        assert frame.get("id") == (1 if message.startswith("{") else None)
        await client.ask("list_subscriptions")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, 15),
        ({"action": "dance", "market_ticker": "A"}, 13),
        ({"action": "add_markets"}, 14),
        ({"action": "subscribe_indices", "index_ids": ["BRTI"]}, 13),
    ],
)
async def test_a_bad_update_of_a_subscription_uses_a_number_up(
    params: dict[str, Any], expected: int
) -> None:
    async with ready() as venue, talk(venue) as client:
        ticker = next(iter(venue.world.markets))
        await client.ask("subscribe", 2, channels=["orderbook_delta"], market_ticker=ticker)
        (refused,) = await client.ask("update_subscription", sid=1, **params)
        assert (code(refused), refused["sid"], refused["seq"]) == (expected, 1, 2)


async def test_indices_are_required_and_markets_are_no_part_of_the_lifecycle() -> None:
    async with ready() as venue, talk(venue) as client:
        await client.ask("subscribe", 2, channels=["cfbenchmarks_value", "market_lifecycle_v2"])
        (needed,) = await client.ask("update_subscription", sid=1, action="subscribe_indices")
        assert code(needed) == 24
        (refused,) = await client.ask(
            "update_subscription", sid=2, action="add_markets", market_ticker="A"
        )
        assert code(refused) == 13


async def test_too_many_markets_are_refused_and_nothing_changes() -> None:
    async with ready() as venue, talk(venue) as client:
        many = [f"KXBTCD-{number}" for number in range(10_001)]
        (refused,) = await client.ask("subscribe", channels=["trade"], market_tickers=many)
        assert code(refused) == 26
        (listed,) = await client.ask("list_subscriptions")
        assert listed["msg"] == []


@pytest.mark.parametrize("number", [9, 18, 27])
async def test_any_error_can_be_had_for_a_command(number: int) -> None:
    faults = Faults()
    faults.at_command(2, "subscribe", number)
    async with ready(faults=faults) as venue, talk(venue) as client:
        assert kinds(await client.ask("subscribe", channels=["trade"])) == ["subscribed"]
        (refused,) = await client.ask("subscribe", channels=["fill"])
        assert (code(refused), refused["id"]) == (number, 2)
        assert kinds(await client.ask("subscribe", channels=["fill"])) == ["subscribed"]


async def test_a_command_without_a_number_is_answered_without_one() -> None:
    async with ready() as venue, talk(venue) as client:
        await client.socket.send('{"id":0,"cmd":"subscribe","params":{"channels":["trade"]}}')
        assert "id" not in await client.frame()
