"""The speed of the account's projection: a backfill, growing tables, and marks of open trades."""
