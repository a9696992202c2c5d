"""Kalshi: from its messages, and the old system's rows, to our events. No I/O and no clock.

- `frames`: a WebSocket frame, dispatched by its type.
- `account_frames`, `market_frames`, `lifecycle`: the types one by one; `lifecycle` REST as well.
- `account_replies`: REST replies about an account.
- `legacy_rows`, `legacy_tickets`: rows of the old system's tables, and its trade tickets.
- `records`, `values`, `legacy_values`: what they share.
- `delivery`: whose message it is, how it came, and what becomes of one that cannot be read.
"""
