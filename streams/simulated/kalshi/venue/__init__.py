"""Kalshi on this machine: its WebSocket and REST API, over a state that a driver publishes into.

- `facts`: what a driver tells; `state`: the venue that keeps it (`markets`, `depth`, `portfolio`,
  `index`).
- `messages`, `session`, `subscription`, `commands`: the WebSocket, without a network.
- `rest`, `query`, `market_data`, `portfolio_reads`, `candles`, `records`: REST, without a network.
- `auth`, `limits`: who may ask, and how often.
- `server`, `client`: the network; `line`: what can go wrong on it.

What of the real venue is missing: placing orders, requests for quotes, order groups, sets of
markets, more than one account, key scopes. Only GET requests are understood.
"""

from streams.simulated.kalshi.venue.line import Line
from streams.simulated.kalshi.venue.server import VenueServer
from streams.simulated.kalshi.venue.state import Cutoffs, Venue

__all__ = ["Cutoffs", "Line", "Venue", "VenueServer"]
