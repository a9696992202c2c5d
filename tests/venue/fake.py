"""The fake Kalshi of the tests: a world served on loopback, with faults, checked by the schemas.

world = World(seed=1)
async with FakeKalshi(world, keys=[key], faults=faults) as venue:
    ...  # connect to venue.websocket_url, venue.rest_url
    await venue.step(10)
    assert ... == world.truth...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self

from streams.simulated.kalshi.venue import Line, VenueServer
from streams.simulated.kalshi.venue.line import Act, Manner
from streams.simulated.kalshi.venue.query import Reply
from streams.simulated.kalshi.venue.server import wall_clock
from streams.simulated.kalshi.venue.session import Frame
from tests.venue import schemas
from tests.venue.keys import ApiKey
from tests.venue.world import World

HOUR = 3_600_000_000


class FakeKalshi:
    """Use as an async context manager. Leaving it raises what was against the schemas.

    `keys` are those of this environment: a fake of demo and one of prod know different ones.
    """

    def __init__(
        self,
        world: World,
        *,
        keys: Iterable[ApiKey] = (),
        faults: Line | None = None,
        ping_every: float = 10.0,
        buffer: int = 20_000,
    ) -> None:
        self.world = world
        #: What its own clock is ahead of this machine's, microseconds.
        self.clock_offset = 0
        self._line = _CheckedLine(faults or Line())
        self._keys = {key.id: key.public for key in keys}
        self._server = VenueServer(
            world.venue,
            self._keys,
            line=self._line,
            clock=lambda: wall_clock() + self.clock_offset,
            ping_every=ping_every,
            buffer=buffer,
        )

    @property
    def websocket_url(self) -> str:
        """`ws://127.0.0.1:…/trade-api/ws/v2`."""
        return self._server.websocket_url

    @property
    def rest_url(self) -> str:
        """`http://127.0.0.1:…/trade-api/v2`."""
        return self._server.rest_url

    @property
    def commands(self) -> list[bytes]:
        """What clients sent over WebSockets, in order."""
        return self._line.commands

    @property
    def requests(self) -> list[str]:
        """The paths that were asked for by REST, in order."""
        return self._line.requests

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._server.__aexit__(kind, error, trace)
        if error is None and self._line.violations:
            raise self._line.violations[0]

    async def step(self, steps: int = 1, seconds: float = 1.0) -> None:
        """Let the world go on, and return once all of it is sent."""
        for _ in range(steps):
            self.world.step(seconds=seconds)
            await self._server.sent()

    async def sent(self) -> None:
        """Return once all that was said is sent, or lost with its connection."""
        await self._server.sent()

    def expire_keys(self) -> None:
        """From now on no key is good; connections that exist go on."""
        self._keys.clear()

    def renew_keys(self, *keys: ApiKey) -> None:
        """From now on these are good again."""
        self._keys |= {key.id: key.public for key in keys}

    def close_port(self) -> None:
        """Refuse connections from now on; those that exist go on."""
        self._server.close_port()

    async def open_port(self) -> None:
        """Accept connections again."""
        await self._server.open_port()

    def hang_up(self) -> None:
        """Cut all WebSocket connections."""
        self._server.hang_up()


class _CheckedLine(Line):
    """A line whose frames and replies are checked before anything happens to them."""

    def __init__(self, line: Line) -> None:
        self.violations: list[schemas.Violation] = []
        self.commands: list[bytes] = []
        self.requests: list[str] = []
        self._line = line
        self._is_checked = schemas.SPECIFICATION.is_dir()

    def upgrade(self, connection: int) -> Reply | Manner | None:
        return self._line.upgrade(connection)

    def command(self, connection: int, data: str | bytes) -> int | None:
        self.commands.append(data.encode() if isinstance(data, str) else data)
        return self._line.command(connection, data)

    def frame(self, connection: int, frame: Frame) -> Sequence[Act]:
        if self._is_checked:
            self._check(lambda: schemas.check_frame(frame.data))
        return self._line.frame(connection, frame)

    def reply(self, path: str, reply: Reply) -> tuple[Reply, Manner]:
        self.requests.append(path)
        if self._is_checked:
            self._check(lambda: schemas.check_reply(path, *reply))
        return self._line.reply(path, reply)

    def _check(self, check: Callable[[], None]) -> None:
        try:
            check()
        except schemas.Violation as violation:
            self.violations.append(violation)
