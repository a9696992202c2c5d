"""Backfill: what a venue knows of the past, into the topics.

- `plan`: which pages are to be read, as units that are done whole or again. Pure.
- `journal`: which units are done, in a file.
- `run`: reads them and sends what they tell.
"""
