"""`tape produce kalshi` and `tape record kalshi`, as a user runs them, against the fake venue."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from textwrap import wrap

import pytest

from streams.connectors.base import Frame
from streams.embedded.stack import StackInfo
from streams.events import BookSnapshot, Event, Fill, MarketGap, MarketTrade
from streams.recording import read
from streams.replay import parsed
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.soak.processes import Command
from tests.streams.connectors.kalshi.listening import Books
from tests.streams.connectors.kalshi.test_books import states
from tests.streams.tape import Tape, records_of
from tests.venue.fake import FakeKalshi
from tests.venue.faults import Faults
from tests.venue.keys import ApiKey, api_key
from tests.venue.world import World

#: Of a step of the world, each followed by a pause; of what a command may take. Seconds.
PAUSE = 0.15
PATIENCE = 120
#: A command lives through this many steps at least.
STEPS = 40
KALSHI = {"kalshi-account", "kalshi-books", "kalshi-market"}


class Setting:
    """The settings of an account of a test's own, with its key file."""

    def __init__(self, stack: StackInfo, folder: Path) -> None:
        self.owner = f"kalshi/prod/c{secrets.token_hex(5)}"
        self.key_file = folder / "key.pem"
        self.folder = folder
        self._brokers = stack.brokers
        ensure_topics(Endpoints(stack.brokers, {}, "", True, True))

    def of(self, venue: FakeKalshi, key: ApiKey) -> dict[str, str]:
        """The environment of a command that has this key."""
        self.key_file.write_bytes(key.pem)
        self.key_file.chmod(0o600)
        return {
            "TAPE_HOME": str(self.folder / "home"),
            "TAPE_BROKERS": self._brokers,
            "TAPE_ACCOUNT": f"{self.owner}/0",
            "TAPE_KALSHI_KEY_ID": key.id,
            "TAPE_KALSHI_KEY_FILE": str(self.key_file),
            "TAPE_KALSHI_REST_URL": venue.rest_url,
            "TAPE_KALSHI_WEBSOCKET_URL": venue.websocket_url,
        }

    def tape(self, venue: FakeKalshi, key: ApiKey) -> Tape:
        return Tape(**self.of(venue, key))


@pytest.fixture
def setting(stack: StackInfo, tmp_path: Path) -> Setting:
    return Setting(stack, tmp_path)


async def told(
    command: Command, venue: FakeKalshi, is_enough: Callable[[str], Awaitable[bool]]
) -> str:
    """All that a command says while the world goes on; stopped once that is enough."""
    command.start()
    try:
        async with asyncio.timeout(PATIENCE):
            await venue_goes_on(venue, STEPS)
            while not await is_enough(command.log.read_text()):
                await venue_goes_on(venue, 1)
        await asyncio.to_thread(command.stop)
    except BaseException:
        print(command.last_words())
        raise
    finally:
        command.end()
    return command.log.read_text()


async def venue_goes_on(venue: FakeKalshi, steps: int) -> None:
    for _ in range(steps):
        await venue.step()
        await asyncio.sleep(PAUSE)


def secret_parts(key: ApiKey) -> list[str]:
    """The private key's lines, and every piece of them that is long enough to give it away."""
    lines = [line for line in key.pem.decode().splitlines() if not line.startswith("-----")]
    return [part for line in lines for part in wrap(line, 24) if len(part) == 24]


def kept(file: Path) -> list[Frame]:
    """The frames in a recording that may still be written."""
    return list(read(file)) if file.exists() and file.stat().st_size else []


def feeds(frames: list[Frame]) -> set[str]:
    return {frame.feed.partition("@")[0] for frame in frames}


def events_of(frames: list[Frame]) -> list[Event]:
    return [event for one in parsed(frames) for event in one.events]


async def test_what_was_recorded_replays_to_what_the_venue_said(setting: Setting) -> None:
    world, file = World(seed=5), setting.folder / "kalshi.zst"
    world.step()
    before = set(world.truth.trades)

    async def is_enough(_: str) -> bool:
        kinds = {type(event) for event in events_of(kept(file))}
        return kinds >= {MarketTrade, Fill, BookSnapshot}

    async with FakeKalshi(world, keys=[api_key()]) as venue:
        settings = setting.of(venue, api_key())
        command = Command(setting.folder, "record", "kalshi", "-o", file.name, settings=settings)
        assert f"written to {file.name}" in await told(command, venue, is_enough)
    frames = list(read(file))
    assert feeds(frames) == KALSHI
    events = events_of(frames)
    trades = {one.trade_id for one in events if isinstance(one, MarketTrade)}
    assert trades
    assert trades <= world.truth.trades.keys()
    fills = {one.trade_id for one in events if isinstance(one, Fill)}
    assert fills == {trade_id for _, trade_id in world.truth.fills if trade_id in fills}
    assert fills
    books = Books.of(events)
    had = {ticker: states(changes) for ticker, changes in world.truth.changes.items()}
    assert all(state in had[ticker] for ticker, _, state in books.seen if state.yes or state.no)
    assert any(isinstance(one, BookSnapshot) for one in events)
    assert set(books.states.values()) == {None}, "the end of a recording leaves no book valid"
    assert isinstance(events[-1], MarketGap)
    assert before


async def test_no_output_recording_or_event_holds_the_private_key(
    setting: Setting, brokers: str
) -> None:
    good, bad = api_key(1, "rsa"), api_key(2, "rsa")
    file = setting.folder / "kalshi.zst"
    faults = Faults(seed=1)
    faults.chances |= {"garbage": 0.02, "disconnect": 0.01}
    faults.at_reply(3, "*", "500")
    world = World(seed=6)
    world.step()

    async def records() -> list[str]:
        return [
            f"{record.key!r}{record.value!r}{record.headers}"
            for market in world.truth.listed
            for record in await records_of(brokers, "kalshi.market", market)
        ]

    async def is_produced(_: str) -> bool:
        return bool(await records())

    async def is_refused(said: str) -> bool:
        return "refused the key" in said

    async def is_recorded(_: str) -> bool:
        return feeds(kept(file)) == KALSHI

    async with FakeKalshi(world, keys=[good], faults=faults) as venue:

        async def run(key: ApiKey, is_enough: Callable[[str], Awaitable[bool]], *words: str) -> str:
            settings = setting.of(venue, key)
            return await told(Command(setting.folder, *words, settings=settings), venue, is_enough)

        said = [
            await run(good, is_produced, "produce", "kalshi"),
            await run(bad, is_refused, "produce", "kalshi"),
            await run(good, is_recorded, "record", "kalshi", "-o", file.name),
        ]
        setting.key_file.write_bytes(good.pem.replace(b"A", b"!"))
        broken = setting.tape(venue, bad)
        setting.key_file.write_bytes(good.pem[:200])
        status, output, errors = await asyncio.to_thread(broken.run, "produce", "kalshi")
        assert status == 2
        assert "TAPE_KALSHI_KEY_FILE" in errors
        said += [output, errors]
    frames = [frame.data.decode(errors="replace") for frame in read(file)]
    everything = "".join([*said, *frames, *await records()])
    for part in [*secret_parts(good), *secret_parts(bad)]:
        assert part not in everything


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"TAPE_KALSHI_KEY_ID": ""}, "TAPE_KALSHI_KEY_ID must be set"),
        ({"TAPE_KALSHI_KEY_FILE": "/none.pem"}, "there is no file /none.pem"),
        ({"TAPE_KALSHI_KEY_ID": "main"}, "TAPE_KALSHI_KEY_ID is no UUID"),
        ({"TAPE_ACCOUNT": "kalshi/demo/main/0"}, ""),
    ],
)
async def test_a_key_that_is_of_no_use_is_told_before_any_connection(
    setting: Setting, settings: dict[str, str], complaint: str
) -> None:
    async with FakeKalshi(World(seed=1), keys=[api_key()]) as venue:
        tape = setting.tape(venue, api_key())
        if not complaint:
            settings |= {"TAPE_KALSHI_REST_URL": "https://external-api.kalshi.com/trade-api/v2"}
            complaint = (
                "has the host external-api.kalshi.com of prod, but TAPE_ACCOUNT is kalshi/demo"
            )
        errors = await asyncio.to_thread(tape.complaint, "produce", "kalshi", **settings)
        assert complaint in errors
        assert not venue.requests
