"""Dead letters, and what was done with them, for people: eighty columns, no control characters."""

from __future__ import annotations

import textwrap
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.redrive import Redriven
    from streams.reports.dead_letters import DeadLetters
    from streams.retry import Retried

__all__ = ["as_text", "counted", "print_list", "print_record", "print_retried", "value_fields"]

_WIDTH = 80
#: Reasons for people, the most frequent first.
_MOST_REASONS = 10
#: Of a value or a header that is shown to people; --json has all.
_MOST_SHOWN = 20_000
_WHAT = {
    "frame": "a frame that could not be read",
    "record": "a record that was refused",
}
_DONE = {
    "read": "done: read after all",
    "projected": "done: projected after all",
    "discarded": "done: discarded",
    None: "waits",
}


def as_text(raw: bytes | None) -> str | None:
    """Bytes as text; what is not UTF-8 as backslash and hex digits."""
    return None if raw is None else raw.decode(errors="backslashreplace")


def value_fields(name: str, raw: bytes | None) -> dict[str, str | None]:
    """For programs, exactly: `name` where it is UTF-8, else `name_base64`."""
    if raw is None:
        return {name: None}
    try:
        return {name: raw.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": b64encode(raw).decode()}


def counted(count: int, one: str, more: str) -> str:
    """`1 frame`, `2,000 frames`."""
    return f"{count:,} {one if count == 1 else more}"


def print_list(found: DeadLetters, *, with_done: bool) -> None:
    """The list, and how many there are."""
    for one in found.listed:
        _print_head(one)
        _print_folded(one["error"], "  ")
        print()
    count = found.frames + found.records + (found.done if with_done else 0)
    if len(found.listed) < count:
        print(f"the newest {len(found.listed):,} of {count:,}; --limit shows more")
    frames = counted(found.frames, "frame that could not be read", "frames that could not be read")
    records = counted(found.records, "refused record", "refused records")
    print(f"waiting: {frames}, {records}")
    if found.done and not with_done:
        print(f"done: {found.done:,}; --all shows them too")


def print_record(one: Mapping[str, Any]) -> None:
    """All of one dead letter; its value as text where it is some, else in base64."""
    _print_head(one)
    _print_folded(f"refused  {_eastern(one['refused'])}: {one['error']}", "  ", hang=9)
    if one["tries"]:
        tries = counted(one["tries"], "redrive", "redrives")
        again = f"again    {_eastern(one['tried'])}, {tries} so far: {one['last_error']}"
        _print_folded(again, "  ", hang=9)
    since = "" if one["done"] is None else f" {_eastern(one['done'])}"
    _print_folded(f"now      {_DONE[one['outcome']]}{since}", "  ", hang=9)
    print("  headers")
    for name, value in _headers(one["headers"]):
        _print_folded(f"{name}: {value}", "    ", hang=2)
    print("  value" + _about_value(one["value"]))
    if one["value"]:
        _print_folded(_shown(one["value"]), "    ")


def print_retried(retried: Retried, redriven: Redriven) -> None:
    """What became of frames, then of records."""
    if retried.frames == redriven.records == 0:
        print("no dead letter waits that was chosen")
    if retried.frames:
        frames = counted(retried.frames, "frame", "frames")
        events = counted(retried.events, "event", "events")
        print(f"{frames} tried: {retried.read:,} read, into {events}")
        _print_reasons("left", retried.left)
        _print_reasons("still cannot be read", retried.unread)
    if redriven.records:
        records = counted(redriven.records, "refused record", "refused records")
        print(f"{records} tried: {redriven.projected:,} projected")
        _print_reasons("left", redriven.left)
        _print_reasons("refused again", redriven.failed)
    if redriven.taken:
        print(f"{redriven.taken:,} in the hands of another retry")


def _print_reasons(what: str, reasons: Mapping[str, int]) -> None:
    if reasons:
        print(f"{sum(reasons.values()):,} {what}:")
    for reason, count in sorted(reasons.items(), key=lambda one: -one[1])[:_MOST_REASONS]:
        _print_folded(f"{count:,}: {reason}", "  ")
    if len(reasons) > _MOST_REASONS:
        print(f"  and {len(reasons) - _MOST_REASONS:,} more reasons; --json shows them")


def _print_head(one: Mapping[str, Any]) -> None:
    place = f"{one['topic']}[{one['partition']}]@{one['offset']}"
    key = as_text(one["key"])
    about = [
        _WHAT[one["what"]] + ("" if one["done"] is None else f", {one['outcome']}"),
        f"by {one['projection']}",
        "without a key" if key is None else f"key {key}",
    ]
    _print_folded(f"{_eastern(one['appended'])}  {place}", "")
    _print_folded(", ".join(about), "  ")


def _eastern(time: datetime) -> str:
    from streams.events.tickers import EASTERN

    return f"{time.astimezone(EASTERN):%Y-%m-%d %H:%M:%S}"


def _headers(stored: Iterable[Mapping[str, str | None]]) -> Iterable[tuple[str, str]]:
    for item in stored:
        name, value = (
            item.get(field, f"{item.get(f'{field}_base64')} (base64)")
            for field in ("name", "value")
        )
        yield str(name), "null" if value is None else value


def _about_value(value: bytes | None) -> str:
    if value is None:
        return ": null"
    size = counted(len(value), "byte", "bytes")
    return f": {size}" + (", in base64" if value and _plain(value) is None else "")


def _shown(value: bytes) -> str:
    text = _plain(value)
    text = b64encode(value).decode() if text is None else text
    if len(text) > _MOST_SHOWN:
        more = len(text) - _MOST_SHOWN
        return f"{text[:_MOST_SHOWN]} … and {more:,} more characters; --json has all"
    return text


def _plain(value: bytes) -> str | None:
    """The text of a value; None where it is none that can be shown."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if all(one.isprintable() or one.isspace() for one in text) else None


def _print_folded(text: str, indent: str, hang: int = 0) -> None:
    shown = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    for line in textwrap.wrap(
        shown,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + hang * " ",
        break_on_hyphens=False,
    ):
        print(line)
