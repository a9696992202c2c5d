"""The errors that end a projection or a unit of work."""

from __future__ import annotations


class Refusal(Exception):
    """The projection must not go on until a person decided something; the message says what.

    A worker ends with exit status 75, so that a supervisor does not take it for a clean stop.
    """


class Fenced(Exception):
    """The checkpoints are not where this worker believes: its partitions went to another."""
