"""Everything that touches PostgreSQL: the projections, one module each, and their shared parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from projections.account import Account
from projections.base import Projection
from projections.health import Health
from projections.market import Market
from projections.prices import Prices

#: Every projection, by name. Registering one is a line here.
PROJECTIONS: Mapping[str, type[Projection[Any]]] = {
    projection.name: projection for projection in (Account, Health, Market, Prices)
}
