"""Decisions to `system.decisions`: sent from the table afterwards, and only from there.

The table is the truth. A decision may be sent twice (a kill between sending and marking), with the
same `ce_id`. The command that decided sends it, else a later one, or a worker. A command that reads
the log again cannot: it starts `python -m streams.decisions`.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from typing import Any

from projections.database import connect
from projections.decisions import Operator
from streams.errors import UserError
from streams.events.codec import SPEC_VERSION, EncodedEvent
from streams.events.system_decisions import TOPIC
from streams.producer import Producer
from streams.settings import Endpoints, Settings, endpoints, load_settings

__all__ = ["operator_of", "send_decisions"]

_PAGE = 500
_WAITING = """
select id::text, ce_type, ce_source, subject, body
from public.decisions
where not copied
order by number
limit %s
for update skip locked
"""
_MARK = "update public.decisions set copied = true where id = any(%s::uuid[])"
_LONGEST_WHY = 2000


def operator_of(settings: Settings, why: str | None) -> Operator:
    """Who runs this process, and why: TAPE_OPERATOR, else the user of the operating system.

    Raises UserError: the reason is blank, too long, or no text.
    """
    if why is not None:
        if not why.strip():
            raise UserError("--why is blank: say in a sentence why")
        if len(why) > _LONGEST_WHY:
            raise UserError(f"--why has {len(why):,} characters; {_LONGEST_WHY:,} are the most")
        if not _is_text(why):
            raise UserError(f"--why {why!a} is not UTF-8")
    return Operator(settings.operator or _user(), why)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


async def send_decisions(at: Endpoints) -> int:
    """Send what was not sent yet, in the order of deciding; returns how many.

    Raises UserError and DeliveryError (see streams.producer), and psycopg's errors.
    """
    sent = 0
    async with await connect(at.dsn, "decisions", {}) as connection:
        while True:
            async with connection.transaction():
                rows = await (await connection.execute(_WAITING, [_PAGE])).fetchall()
                if not rows:
                    return sent
                async with Producer(at) as producer:
                    await producer.send_records(map(_record, rows))
                    await producer.flush()
                await connection.execute(_MARK, [[row[0] for row in rows]])
            sent += len(rows)


def _record(row: Any) -> EncodedEvent:
    decision_id, ce_type, ce_source, subject, body = row
    headers = [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", decision_id.encode()),
        ("ce_type", ce_type.encode()),
        ("ce_source", ce_source.encode()),
    ]
    return EncodedEvent(TOPIC, subject.encode(), body.encode(), headers)


if __name__ == "__main__":
    asyncio.run(send_decisions(endpoints(load_settings())))
