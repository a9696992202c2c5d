"""What tests of what is read from the brokers share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from streams.monitor.reading.wire import Wire
from tests.streams.monitor.reading.topics import endpoints


@pytest.fixture
async def wire(brokers: str) -> AsyncIterator[Wire]:
    async with Wire.open(endpoints(brokers)) as found:
        yield found
