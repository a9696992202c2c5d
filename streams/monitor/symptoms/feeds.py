"""What is wrong with feeds, and with what they bring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from projections import PROJECTIONS
from streams.monitor.model import Feed, Freshness, Level, Picture
from streams.monitor.reading.feeds import GONE
from streams.monitor.sentences import clock, span
from streams.monitor.symptoms.base import SECOND, STORES, Symptom
from streams.owners import venue_of, venue_of_index

__all__ = ["follows", "of_feeds", "of_source"]

#: States of a feed that are as somebody wants them.
_QUIET = {"standby", "stopped"}
#: A feed that has so many frames a second is silent after fewer seconds than its sources are old,
#: if its last heartbeat lacked frames as well: between two of these the newest is not known.
_BUSY_PER_S = 5.0
_BUSY_WARN_S = 8.0
_BUSY_BEAT_S = 3.0


def follows(service: str) -> tuple[tuple[str, str], ...]:
    """The topic and venue pairs that a feed's events belong to; none for a worker."""
    kind, _, name = service.partition("/")
    if kind != "producer":
        return ()
    feed, _, owner = name.partition("@")
    if feed == "kalshi-account":
        return (("kalshi.account", owner),)
    if owner:
        prices = (("price.ticks", venue_of_index(owner)),) if feed == "kalshi-market" else ()
        return (("kalshi.market", venue_of(owner)), *prices)
    return (("price.ticks", feed.replace("-", "_")),)


def of_feeds(picture: Picture) -> Iterator[Symptom]:
    """Of each feed and worker; and of a venue that has several feeds, one that explains them."""
    by_venue: dict[str, list[Feed]] = {}
    for feed in picture.feeds:
        if feed.state in _QUIET:
            continue
        if _is_worker(feed):
            yield from _of_feed(feed, picture)
        else:
            by_venue.setdefault(_venue_of(feed), []).append(feed)
    for venue, feeds in by_venue.items():
        ill = [(feed, one) for feed in feeds for one in _of_feed(feed, picture)]
        if len(feeds) == 1 or not ill:
            yield from (one for _, one in ill)
            continue
        explained = _of_venue(venue, ill, len(feeds))
        yield explained
        yield from (replace(one, causes=(*one.causes, explained.node)) for _, one in ill)


def _venue_of(feed: Feed) -> str:
    """Whom it hears from."""
    name, _, owner = feed.service.removeprefix("producer/").partition("@")
    if not owner:
        return name
    # A simulated venue is one program, whatever it plays.
    return "simulated" if owner.startswith("simulated/") else venue_of(owner)


def _of_venue(venue: str, ill: Sequence[tuple[Feed, Symptom]], feeds: int) -> Symptom:
    symptoms = [one for _, one in ill]
    text = symptoms[0].text
    if len(ill) > 1:
        states = {feed.state for feed, _ in ill}
        state = states.pop() if len(states) == 1 else "not well"
        state = "connected, without a frame" if state == "connected" else state
        text = f"{venue}: {len(ill)} of its {feeds} feeds {state}"
    return Symptom(
        f"feeds/{venue}",
        max(one.level for one in symptoms),
        min(one.since for one in symptoms),
        text,
        symptoms[0].causes,
        min(one.patience_s for one in symptoms),
    )


def _of_feed(feed: Feed, picture: Picture) -> Iterator[Symptom]:
    if feed.state == GONE and _is_worker(feed):
        return  # of a worker that is gone, its groups tell more
    name = feed.service.partition("/")[2]
    node = f"feed/{name}"
    since = clock(feed.since)
    detail = f": {feed.detail}" if feed.detail else ""
    if feed.state == GONE:
        age = span((picture.taken - feed.heard) / SECOND)
        text = f"{name}: gone, no heartbeat for {age} from {feed.instance}"
        yield Symptom(node, Level.CRITICAL, feed.heard, text, causes=("broker", "host"))
    elif feed.state == "crashed":
        often = f"{feed.crash_loop} times in quick succession, last" if feed.crash_loop else ""
        text = " ".join(f"{name}: crashed {often} at {since}{detail}".split())
        yield Symptom(node, Level.CRITICAL, feed.since, text, causes=("broker",))
    elif feed.state in ("connecting", "starting"):
        age_s = (picture.taken - feed.since) / SECOND
        text = f"{name}: {feed.state} since {since}{detail}"
        level = Level.CRITICAL if age_s >= 30.0 else Level.WARNING
        yield Symptom(node, level, feed.since, text, causes=("broker",), patience_s=5.0)
    elif feed.state == "connected" and (quiet := _silence(feed, picture)):
        age_s, limit = quiet
        level = Level.CRITICAL if age_s >= limit else Level.WARNING
        heard = feed.last_frame or feed.since
        text = f"{name}: connected, no frame for {span(age_s)}"
        yield Symptom(node, level, heard, text, causes=("broker",))


def _silence(feed: Feed, picture: Picture) -> tuple[float, float] | None:
    """Seconds without a frame and the critical limit, where that is too long for what it follows.

    A feed of markets that are closed, and an account in which nothing happens, may be silent.
    """
    followed = [
        source
        for source in picture.freshness
        if source.is_open
        and (source.topic, source.source.partition(":")[0]) in follows(feed.service)
    ]
    if not followed:
        return None
    last = feed.last_frame or feed.since
    age_s = (picture.taken - last) / SECOND
    warn = min(source.warn_s for source in followed)
    beat_s = (feed.heard - last) / SECOND
    if feed.usual_frames_per_second >= _BUSY_PER_S and beat_s >= _BUSY_BEAT_S:
        warn = min(warn, _BUSY_WARN_S)
    return (age_s, min(source.critical_s for source in followed)) if age_s >= warn else None


def _is_worker(feed: Feed) -> bool:
    return feed.service.startswith("worker/")


def of_source(source: Freshness, picture: Picture) -> Iterator[Symptom]:
    venue = source.source.partition(":")[0]
    followers = [one for one in picture.feeds if (source.topic, venue) in follows(one.service)]
    if source.level == Level.OK or _is_unfollowed(followers):
        return
    readers = [name for name, one in PROJECTIONS.items() if source.topic in one.topics]
    causes = (
        *STORES,
        *(f"feeds/{_venue_of(one)}" for one in followers),
        *(f"feed/{one.service.partition('/')[2]}" for one in followers),
        *(f"projection/{name}" for name in readers),
    )
    text = f"{source.source}: newest event {span(source.age_s)} old"
    # One node for all that a venue lets grow old.
    yield Symptom(f"venue/{venue}", source.level, source.newest, text, causes)


def _is_unfollowed(followers: list[Feed]) -> bool:
    """Whether somebody stopped all feeds of it, so that nothing is expected."""
    return bool(followers) and all(one.state == "stopped" for one in followers)
