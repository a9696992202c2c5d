"""What the account feed produces is what happened, whatever arrived when, and each fact once."""

from collections import Counter

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.connectors.base import ConnectorError, Request
from streams.connectors.kalshi.account import AccountParser, KalshiAccountConnector
from streams.events import AccountUnparsed, Fill, Order, Position, SnapshotStarted
from tests.venue.world import SECOND, World

from .account_talk import OWNER, Talk, mixed, newest, truth


def settled(talk: Talk) -> None:
    """Let all arrive, and readings come of which the last full one knows everything."""
    talk.finish()
    for _ in range(6):
        talk.wait(61)
        talk.finish()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 120), st.sampled_from([1, 3, 1000]), st.booleans())
def test_any_interleaving_ends_in_what_happened(
    seed: int, steps: int, page: int, is_late: bool
) -> None:
    world = World(seed, portfolio_lag=900_000 if is_late else 0)
    world.step(3)
    talk = Talk(world, page)
    mixed(talk, seed, steps)
    settled(talk)
    assert newest(talk.events) == truth(world)
    once = Counter((e.account, e.trade_id) for e in talk.events if isinstance(e, Fill))
    assert set(once.values()) <= {1}


def test_across_the_settlement_of_markets_nothing_is_missing() -> None:
    world = World(4)
    world.step(20)
    talk = Talk(world)
    talk.finish()
    world.until_close()
    talk.frames.clear()  # nothing of it came by WebSocket
    settled(talk)
    assert world.truth.settlements
    assert newest(talk.events) == truth(world)


def test_a_second_reading_produces_only_its_bounds() -> None:
    world = World(5)
    world.step(20)
    talk = Talk(world)
    talk.finish()
    before = len(talk.events)
    talk.wait(61)
    talk.finish()
    names = [event.name for event in talk.events[before:]]
    assert names == ["account.snapshot_started"] * 2 + ["account.snapshot_finished"] * 2


def test_nothing_is_asked_for_before_all_channels_are_live() -> None:
    talk = Talk(World(1))
    talk.receive()
    talk.receive()
    assert not talk.asked
    talk.receive()
    assert [str(one) for one in talk.asked] == [
        "/exchange/user_data_timestamp",
        "/portfolio/subaccounts/balances",
    ]


def test_later_readings_go_back_a_minute_and_each_fifth_is_full_by_a_day() -> None:
    world = World(5)
    world.step(5)
    talk = Talk(world)
    talk.finish()
    assert not any("min_ts" in str(one) for one in talk.requests)
    until = talk.finished()[-1].time
    talk.requests.clear()
    talk.wait(61)
    talk.finish()
    asked = {one.path: dict(one.query).get("min_ts") for one in talk.requests}
    assert asked["/portfolio/fills"] == str((until - 60 * SECOND) // SECOND)
    assert "/portfolio/settlements" not in asked
    for _ in range(4):
        until = talk.finished()[-1].time
        talk.requests.clear()
        talk.wait(61)
        talk.finish()
    asked = {one.path: dict(one.query).get("min_ts") for one in talk.requests}
    assert asked["/portfolio/settlements"] == str((until - 86_400 * SECOND) // SECOND)


def test_a_snapshot_ends_as_of_what_the_venue_knows_with_all_tickers() -> None:
    world = World(6, portfolio_lag=3 * SECOND)
    world.step(20)
    talk = Talk(world)
    talk.finish()
    venue = world.venue
    started = [one for one in talk.events if isinstance(one, SnapshotStarted)]
    assert [one.account for one in started] == [f"{OWNER}/0", f"{OWNER}/1"]
    for one in talk.finished():
        assert one.time == venue.now - 3 * SECOND
        seen = venue.portfolio.positions.seen(one.time)
        held = {held.fact.ticker for held in seen if f"{OWNER}/{held.subaccount}" == one.account}
        assert set(one.tickers) == held


def test_a_position_by_rest_that_is_older_than_one_by_websocket_is_no_news() -> None:
    world = World(7, portfolio_lag=2 * SECOND)
    world.step(20)
    talk = Talk(world)
    talk.finish()
    world.step(3)
    while talk.frames:
        talk.receive()
    before = len(talk.events)
    talk.wait(0)
    talk.connect()
    talk.finish()
    assert not [one for one in talk.events[before:] if isinstance(one, Position | Order)]


def unreadable(talk: Talk, path: str, body: bytes) -> None:
    """Let the connection go on, but for the replies of one path."""
    while talk.frames or talk.asked:
        talk.receive()
        if talk.asked and talk.asked[0].path == path:
            talk.take(body, talk.asked.pop(0))
        else:
            talk.reply()


@pytest.mark.parametrize("path", ["/portfolio/positions", "/portfolio/fills"])
@pytest.mark.parametrize("body", [b"[]", b'{"error":"down"}', b'{"cursor":7,"fills":[]}', b"5"])
def test_after_a_page_that_cannot_be_read_no_snapshot_ends(path: str, body: bytes) -> None:
    world = World(8)
    world.step(10)
    talk = Talk(world)
    unreadable(talk, path, body)
    assert not talk.finished()
    assert [one.frame for one in talk.events if isinstance(one, AccountUnparsed)] == [body]
    talk.wait(61)
    unreadable(talk, path, body)
    assert len([one for one in talk.events if isinstance(one, AccountUnparsed)]) == 1
    talk.wait(61)
    talk.finish()
    assert len(talk.finished()) == 2
    assert newest(talk.events) == truth(world)


def test_a_position_that_cannot_be_read_keeps_its_subaccount_from_ending() -> None:
    world = World(8)
    world.step()
    talk = Talk(world)
    body = orjson.dumps({"market_positions": [{"ticker": 5}], "cursor": ""})
    is_first = True
    while talk.frames or talk.asked:
        talk.receive()
        if talk.asked and talk.asked[0].path == "/portfolio/positions" and is_first:
            is_first = False
            talk.take(body, talk.asked.pop(0))
        else:
            talk.reply()
    assert [one.account for one in talk.finished()] == [f"{OWNER}/1"]


def test_where_subaccounts_are_refused_there_is_the_main_one() -> None:
    world = World(9, subaccounts=(0,))
    world.step(10)
    talk = Talk(world)
    talk.refused = {"/portfolio/subaccounts/balances", "/exchange/user_data_timestamp"}
    talk.finish()
    assert [one.account for one in talk.finished()] == [f"{OWNER}/0"]
    assert talk.finished()[0].time < world.venue.now
    settled(talk)
    assert newest(talk.events) == truth(world)


def test_a_refused_list_ends_the_connection() -> None:
    talk = Talk(World(9))
    talk.refused = {"/portfolio/fills"}
    with pytest.raises(ConnectorError):
        talk.finish()


def test_pages_without_end_end_the_connection() -> None:
    talk = Talk(World(9))
    body = orjson.dumps({"fills": [], "cursor": "again"})
    with pytest.raises(ConnectorError, match="again and again"):
        unreadable(talk, "/portfolio/fills", body)


def parser() -> AccountParser:
    one = KalshiAccountConnector(OWNER).parser("c1", 1_795_384_770_000_000)
    one.outgoing()
    return one


NOW = 1_795_384_771_000_000


def test_an_unknown_channel_is_named_once_the_others_answered() -> None:
    one = parser()
    one.parse(b'{"id":1,"type":"error","msg":{"code":8,"msg":"Unknown channel name"}}', NOW)
    one.parse(b'{"id":1,"type":"subscribed","msg":{"channel":"fill","sid":1}}', NOW)
    with pytest.raises(ConnectorError, match="user_orders"):
        one.parse(b'{"id":1,"type":"subscribed","msg":{"channel":"market_positions","sid":2}}', NOW)


@pytest.mark.parametrize("code", [10, 25])
def test_a_terminal_error_ends_the_connection(code: int) -> None:
    talk = Talk(World(1))
    talk.finish()
    with pytest.raises(ConnectorError, match=str(code)):
        talk.take(b'{"type":"error","sid":1,"msg":{"code":%d,"msg":"over"}}' % code)


def test_channels_that_are_not_live_in_time_end_the_connection() -> None:
    one = parser()
    one.parse(b'{"id":1,"type":"subscribed","msg":{"channel":"fill","sid":1}}', NOW)
    with pytest.raises(ConnectorError, match="user_orders"):
        one.tick(NOW + 20 * SECOND)


def test_a_quiet_session_is_asked_for_a_sign_of_life() -> None:
    talk = Talk(World(1))
    talk.finish()
    talk.wait(11)
    answers = [orjson.loads(frame.data) for frame in talk.frames]
    assert [one["type"] for one in answers] == ["ok"]
    before = len(talk.events)
    talk.finish()
    assert len(talk.events) == before


def test_a_frame_that_cannot_be_read_is_kept_and_read_about_soon() -> None:
    world = World(3)
    world.step(5)
    talk = Talk(world)
    talk.finish()
    [event] = talk.take(b'{"type":"fill","msg":{"trade_id":5}}')
    assert isinstance(event, AccountUnparsed)
    talk.wait(6)
    assert Request("/exchange/user_data_timestamp") in talk.asked


def test_a_recording_is_of_the_account_in_its_feed() -> None:
    feed = KalshiAccountConnector.recorded("kalshi/demo/mine")
    assert (feed.feed, feed.venue) == ("kalshi-account@kalshi/demo/mine", "kalshi_demo")
    with pytest.raises(LookupError):
        KalshiAccountConnector.recorded("")


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(0, 60), st.sampled_from([2, 1000]), st.booleans())
def test_a_replay_says_the_same_with_the_same_ids(
    seed: int, steps: int, page: int, is_refused: bool
) -> None:
    world = World(seed, subaccounts=(0,), portfolio_lag=200_000)
    world.step(3)
    talk = Talk(world, page)
    talk.refused = {"/portfolio/subaccounts/balances"} if is_refused else set()
    mixed(talk, seed, steps)
    settled(talk)
    feed = KalshiAccountConnector.recorded(OWNER)
    parsers: dict[str, AccountParser] = {}
    again = []
    for frame in talk.recording:
        if frame.connection not in parsers:
            parsers[frame.connection] = feed.parser(frame.connection, frame.received)
        again += parsers[frame.connection].parse(frame.data, frame.received, frame.request)
    assert [(one.event_id(), one.to_json()) for one in again] == [
        (one.event_id(), one.to_json()) for one in talk.events
    ]


requests = st.builds(
    Request,
    st.sampled_from(["/portfolio/positions", "/portfolio/fills", "/x/candlesticks", "/portfolio"]),
    st.lists(
        st.tuples(
            st.sampled_from(["subaccount", "settlement_status", "cursor", "period_interval"]),
            st.sampled_from(["0", "99", "-1", "x", "settled", "unsettled", ""]),
        )
    ).map(tuple),
)


@given(requests, st.sampled_from([b"{}", b"[]", b'{"market_positions":[{}],"cursor":5}', b"x"]))
def test_whatever_a_recording_says_was_asked_is_read(request: Request, body: bytes) -> None:
    talk = Talk(World(1))
    while not talk.asked:
        talk.receive()
    talk.take(body, request)
