"""All that is read in the background, and how that ends."""

from __future__ import annotations

import asyncio
import logging

import psycopg
import pytest

from streams.monitor.pace import Pace
from streams.monitor.reading.sources import Sources
from streams.settings import Endpoints
from streams.topics import ensure_topics


@pytest.fixture
def endpoints(brokers: str, migrated_dsn: str) -> Endpoints:
    found = Endpoints(brokers, {}, migrated_dsn, True, True)
    ensure_topics(found)
    return found


def test_what_the_database_has_not_answered_yet_is_hung_up_on_at_the_end(
    endpoints: Endpoints, caplog: pytest.LogCaptureFixture
) -> None:
    async def look_while_locked() -> None:
        async with Sources.open(endpoints, 30.0, Pace(1.0)) as sources:
            assert sources.details.is_up
            holder.execute("lock table dead_letters in access exclusive mode")
            while not _is_one_waiting(endpoints.dsn):
                await asyncio.sleep(0.02)

    with psycopg.connect(endpoints.dsn) as holder, caplog.at_level(logging.WARNING, "psycopg"):
        asyncio.run(look_while_locked())
    assert caplog.messages == []


async def test_brokers_that_moved_are_found_by_the_addresses_in_the_settings(
    endpoints: Endpoints,
) -> None:
    async with Sources.open(endpoints, 30.0, Pace(1.0)) as sources:
        await sources.positions()
        assert sources.bounds.value
        wire, _ = await sources._wire.opened()
        await wire._client.close()
        for node, known in wire._client.cluster._brokers.items():
            wire._client.cluster._brokers[node] = known._replace(port=1)
        await sources.positions()
        assert "does not answer" in f"{sources.broker.error} {sources.bounds.error}"
        await sources.positions()
        assert (sources.broker.error, sources.bounds.error) == (None, None)


def _is_one_waiting(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity"
            " where wait_event_type = 'Lock' and datname = current_database()"
        ).fetchone()
    return row != (0,)
