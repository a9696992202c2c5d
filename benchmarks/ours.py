"""Ours, as the bench runs it.

What the runner takes from here:

- `CONTENDERS`: `Contender`s (see `benchmarks.contender`) named `ours`, `ours_two`,
  `ours_all_tables` and `ours_repeats` (this one with `repeats = True`). `setup` puts the migrations
  and the generation into the fresh database; where the projection has tables of its own, `table`
  names the one that the runner watches, checks and takes commit times from. `commands` gives one
  command for each worker process.
- `LATENCY`: the contender of the latency bench, or None.
- `MEMORY`: the contender of the memory bench, or None.
"""

from __future__ import annotations

from benchmarks.contender import Contender

CONTENDERS: tuple[Contender, ...] = ()
LATENCY: Contender | None = None
MEMORY: Contender | None = None
