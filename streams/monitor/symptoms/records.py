"""What is wrong with what the tables hold: dead letters, and accounts that do not add up."""

from __future__ import annotations

from collections.abc import Iterator

from streams.monitor.model import Account, Level, Picture
from streams.monitor.sentences import clock
from streams.monitor.symptoms.base import STORES, Symptom

__all__ = ["of_account", "of_dead_letters"]


def of_dead_letters(picture: Picture) -> Iterator[Symptom]:
    by_projection: dict[str, list[tuple[int, str, int]]] = {}
    for one in picture.dead_letters:
        by_projection.setdefault(one.projection, []).append((one.waiting, one.error, one.newest))
    for name, some in by_projection.items():
        waiting, (_, error, _) = sum(count for count, _, _ in some), max(some)
        # A trade or a balance that is not right costs at once; a tick that is missing may not.
        level = Level.CRITICAL if name == "account" else Level.WARNING
        text = f"{name}: {waiting:,} dead letters, most for: {error}"
        yield Symptom(f"dead-letters/{name}", level, max(at for _, _, at in some), text)


def of_account(account: Account, picture: Picture) -> Iterator[Symptom]:
    node, now, name = f"account/{account.account}", picture.taken, account.account
    behind = (*STORES, "projection/account")
    if account.stale_marks:
        since = account.stale_since or now
        stale = (one for one in picture.freshness if one.level > Level.OK)
        venues = dict.fromkeys(f"venue/{one.source.partition(':')[0]}" for one in stale)
        count = (
            "1 active trade" if account.stale_marks == 1 else f"{account.stale_marks} active trades"
        )
        text = f"marks of {count} stale since {clock(since)}"
        causes = (*STORES, *venues, "projection/market", "projection/prices")
        yield Symptom(f"marks/{name}", Level.CRITICAL, since, text, causes)
    for number, what in (
        (account.unmatched_fills, "fills that belong to no trade"),
        (account.position_differences, "positions of which the venue says otherwise"),
    ):
        if number:
            yield Symptom(node, Level.WARNING, now, f"{name}: {number} {what}", behind, 60.0)
    if account.unexplained.strip("-0."):
        text = f"{name}: {account.unexplained} dollars of cash that nothing explains"
        yield Symptom(node, Level.WARNING, now, text, behind, 60.0)
