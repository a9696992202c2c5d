"""`tape up` from its first line to its last: stack, tables, topics, children, view, stop."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psycopg
from rich.console import Console
from yoyo.exceptions import LockTimeout

from projections import PROJECTIONS
from projections.errors import Refusal
from projections.migrations import migrate
from streams.errors import UserError
from streams.events import Restart
from streams.settings import Endpoints, endpoints, load_settings
from streams.simulated.access import forget_settings, read_settings, settings_file
from streams.topics import ensure_topics
from streams.up.accounts import Whose
from streams.up.children import REFUSED, Child, stop_all, tape_command
from streams.up.claim import embedded_stack, only_one
from streams.up.panels import Frame, Where
from streams.up.ports import CONSOLE_PORT, METRICS_PORT, free_port
from streams.up.readings import Reader, Reading, database_address
from streams.up.signals import StopSignals
from streams.up.summary import Summary
from streams.up.telling import Teller
from streams.up.view import LiveView, NoView, PlainView, View
from streams.up.watch import Watch

__all__ = ["Plan", "up"]

_FRAME_EVERY = 0.5
_FIRST_READING_WITHIN = 20.0
_SIMULATED = "simulated"
#: Feeds of the simulated venues, by the name of the process that produces them.
_SIMULATED_FEEDS = {
    "produce simulated": (_SIMULATED,),
    "produce kalshi": ("kalshi", "kalshi-account"),
}
#: Seconds that the workers get to project what the producers left.
_CATCH_UP_WITHIN = 8.0


@dataclass(frozen=True)
class Plan:
    """What to run: `seconds` None means until a signal."""

    venue: str
    workers: int
    seconds: float | None
    #: With which the names of the simulated accounts begin; another one for each run.
    name: str = field(default_factory=lambda: f"up-{secrets.token_hex(3)}")


def up(plan: Plan, *, quiet: bool) -> Summary:
    """Run it all until the time is over or a signal comes; `quiet` prints nothing meanwhile.

    Raises:
        Refusal: a worker refused to go on.
        UserError: something cannot be started, or a child says that the user is mistaken.
        KeyboardInterrupt: a signal during the set-up, or a second one; nothing runs any more.
    """
    settings = load_settings()
    say = _silence if quiet else _say
    with StopSignals() as signals, only_one(settings.home) as logs:
        say(f"state and logs are in {settings.home}")
        if settings.brokers is None or settings.database_url() is None:
            say("starting the embedded stack (the first start fetches and prepares it) …")
        with embedded_stack(settings):
            places = endpoints(settings)
            console, metrics = free_port(CONSOLE_PORT), free_port(METRICS_PORT)
            address = f"http://127.0.0.1:{console}/"
            where = Where(plan.venue, places.brokers, database_address(places.dsn), address)
            say(f"Kafka on {where.brokers}, PostgreSQL on {where.database}")
            _prepare(places)
            say(f"the console will be at {address}")
            with (
                Teller(places, logs / "restarts.log") as teller,
                closing(Reader(places, whose(plan))) as reader,
            ):
                file = settings_file(settings.home, plan.name)
                processes = children(plan, logs, file, (console, metrics), teller.tell)
                run = Run(plan, processes, reader, signals)
                try:
                    return run.supervise(_view(where, quiet=quiet))
                finally:
                    forget_settings(file)


class Children(NamedTuple):
    """The processes of a plan: simulated venues, what writes to the log, reads it, and watches."""

    venues: list[Child]
    writers: list[Child]
    workers: list[Child]
    watchers: list[Child]


def children(
    plan: Plan,
    logs: Path,
    file: Path,
    ports: tuple[int, int],
    tell: Callable[[Restart], None] | None = None,
) -> Children:
    """The processes of a plan, not started yet; `file` will tell where simulated venues are.

    `ports` are those of the console and of the monitor's metrics. `tell` is told of their deaths:
    see streams.up.children.
    """
    made = partial(_child, logs, tell)
    venues: list[Child] = []
    if plan.venue == _SIMULATED:
        venues.append(made("simulate", ("simulate", "--name", plan.name)))
        settings = partial(read_settings, file)
        writers = [
            made(name, ("produce", *feeds), settings) for name, feeds in _SIMULATED_FEEDS.items()
        ]
    else:
        writers = [made(f"produce {plan.venue}", ("produce", plan.venue))]
    writers.append(made("expire", ("expire",)))
    workers = [made(f"worker {number}", ("worker",)) for number in range(1, plan.workers + 1)]
    console, metrics = ports
    watchers = [
        made("console", ("console", "--port", str(console))),
        made("monitor", ("monitor", "--port", str(metrics))),
    ]
    return Children(venues, writers, workers, watchers)


def _child(
    logs: Path,
    tell: Callable[[Restart], None] | None,
    name: str,
    words: Sequence[str],
    settings: Callable[[], Mapping[str, str] | None] = dict,
) -> Child:
    log = logs / f"{name.replace(' ', '-')}.log"
    return Child(name, tape_command(*words), log, settings, tell)


def whose(plan: Plan) -> Whose:
    """The accounts to show: the simulated ones of this run, or all that are not simulated."""
    if plan.venue == _SIMULATED:
        return Whose(f"{_SIMULATED}/demo/{plan.name}-", wanted=True)
    return Whose(f"{_SIMULATED}/", wanted=False)


class Run:
    """The running children and what is known of them."""

    def __init__(
        self, plan: Plan, processes: Children, reader: Reader, signals: StopSignals
    ) -> None:
        self._plan = plan
        self._venues, self._writers, self._workers, self._watchers = processes
        self._children = [*self._workers, *self._venues, *self._writers, *self._watchers]
        self._reader = reader
        self._signals = signals
        self._watch = Watch(reader)
        self._first_end = 0
        self._started = 0.0
        self._ended: float | None = None

    def supervise(self, view: View) -> Summary:
        """Start the children, watch them to the end, stop them. Raises what `up` raises."""
        try:
            self._first_end = self._first_reading().end
            self._signals.patient = True
            self._started = time.monotonic()
            with view:
                for child in self._children:
                    child.start()
                self._work(view)
                self._ended = time.monotonic()
                self._stop(view)
            return self._sum_up()
        except Exception:
            stop_all(self._children)  # cleanly: the producers may hold events yet
            raise
        finally:
            # Some are left only where a second signal came.
            stop_all(self._children, within=0.0)
            self._watch.stop()

    def _work(self, view: View) -> None:
        limit = self._plan.seconds
        while not self._signals.asked:
            left = _FRAME_EVERY if limit is None else limit - self._elapsed()
            if left <= 0:
                return
            for child in self._children:
                child.watch()
            self._show(view, "running")
            self._signals.sleep(min(_FRAME_EVERY, left))

    def _stop(self, view: View) -> None:
        """First what is read, then who reads it, from the venues to the tables.

        The simulated account stays until all that it did is read; workers until they caught up.
        """
        # First the watchers: they would tell of each process that stops.
        stop_all(self._watchers)
        if self._venues:
            self._show(view, "stopping the simulated venues")
            stop_all(self._venues)
        self._show(view, "stopping the producers")
        stop_all(self._writers)
        self._catch_up(view)
        self._show(view, "stopping the workers")
        stop_all(self._workers)

    def _catch_up(self, view: View) -> None:
        stopped = time.monotonic()
        while time.monotonic() < stopped + _CATCH_UP_WITHIN:
            for worker in self._workers:
                worker.watch()
            self._show(view, "catching up")
            reading = self._watch.latest.reading
            if reading is not None and reading.taken > stopped and not reading.lag:
                return
            time.sleep(_FRAME_EVERY / 2)

    def _sum_up(self) -> Summary:
        complaints = [child.complaint for child in self._children if child.complaint]
        for complaint in complaints:
            if complaint.status == REFUSED:
                raise Refusal(complaint.text)
        try:
            last = self._last_reading()
        except (UserError, psycopg.Error) as error:
            reason = " ".join(str(error).split())
            told = "".join(f"\n{complaint}" for complaint in complaints)
            raise UserError(f"stopped; there is no summary: {reason}{told}") from None
        return Summary(
            venue=self._plan.venue,
            seconds=self._elapsed(),
            events=last.end - self._first_end,
            reading=last,
            children=[child.state for child in self._children],
            complaints=complaints,
        )

    def _first_reading(self) -> Reading:
        """Before the children start. A new topic's partition may have no leader for a moment."""
        deadline = time.monotonic() + _FIRST_READING_WITHIN
        while (latest := self._watch.latest).reading is None:
            if time.monotonic() > deadline:
                raise UserError(latest.trouble or "the broker and the database do not answer")
            time.sleep(0.05)
        return latest.reading

    def _last_reading(self) -> Reading:
        if not self._watch.stop():
            raise UserError("the broker or the database does not answer")
        return self._reader.read(exact=True)

    def _elapsed(self) -> float:
        return (self._ended or time.monotonic()) - self._started

    def _show(self, view: View, doing: str) -> None:
        latest = self._watch.latest
        end = latest.reading.end if latest.reading is not None else self._first_end
        view.show(
            Frame(
                elapsed=time.monotonic() - self._started,
                limit=self._plan.seconds,
                doing=doing,
                events=end - self._first_end,
                latest=latest,
                children=[child.state for child in self._children],
            )
        )


def _prepare(places: Endpoints) -> None:
    """Tables and topics, as far as they are missing."""
    try:
        asyncio.run(migrate(places.dsn, [projection() for projection in PROJECTIONS.values()]))
    except LockTimeout as error:
        raise UserError(f"the database cannot be migrated: {error}") from None
    except psycopg.Error as error:
        raise _unreachable(error) from None
    ensure_topics(places)


def _unreachable(error: psycopg.Error) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(f"the database does not do as it should: {reason}; see `tape doctor`")


def _view(where: Where, *, quiet: bool) -> View:
    if quiet:
        return NoView()
    console = Console()
    is_live = console.is_terminal and not console.is_dumb_terminal
    return LiveView(console, where) if is_live else PlainView()


def _say(text: str) -> None:
    print(text, flush=True)


def _silence(text: str) -> None:
    """What is said where nothing may be printed but the summary."""
