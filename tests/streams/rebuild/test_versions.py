"""A new version beside the old one, and back: swaps, rollbacks, views that keep their columns."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from projections.errors import Refusal
from projections.prices import Prices
from streams.errors import UserError
from tests.streams.rebuild.stage import Stage


class Next(Prices):
    """The next version; its tables are made by `statements` as well."""

    name = "prices"
    version = 2
    path: ClassVar[Path]

    @classmethod
    def sql_path(cls) -> Path:
        return cls.path


@pytest.fixture
def next_release(prices: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Next]:
    """Another column in front of the others, as version 2 would have it."""
    Next.path = tmp_path / "prices.sql"
    text = Prices.sql_path().read_text()
    Next.path.write_text(
        text.replace("create table latest_price (", "create table latest_price (note text,")
    )
    return Next


def test_a_new_version_is_built_beside_the_old_one_and_takes_over(
    prices: Stage, next_release: type[Next], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = prices.kind
    prices.use(monkeypatch, next_release)
    with pytest.raises(Refusal, match="a rebuild is due: run `tape rebuild prices`"):
        prices.project()
    prices.rebuild_here(keep_old=True)
    assert prices.query("select distinct note from latest_price") == [(None,)]
    prices.fill(500, seed=2)
    prices.project()
    prices.check()
    prices.kind = old
    with pytest.raises(Refusal, match="tables are of version 2, this program is of version 1"):
        prices.project()


def test_a_rollback_catches_up_and_swaps_back(
    prices: Stage, next_release: type[Next], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = prices.kind
    prices.use(monkeypatch, next_release)
    prices.rebuild_here(keep_old=True)
    prices.fill(700, seed=2)
    prices.project()
    with pytest.raises(Refusal, match="is of version 1, and this program of version 2"):
        prices.roll_back()
    prices.use(monkeypatch, old)
    outcome = prices.roll_back()
    assert (outcome.generation, outcome.replaced) == (1, 2)
    assert prices.generations() == [(1, True), (2, False)]
    prices.check()
    prices.fill(300, seed=3)
    prices.project()
    prices.check()


def test_a_column_of_the_newer_version_is_null_after_a_rollback(
    prices: Stage, next_release: type[Next], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = prices.kind
    prices.use(monkeypatch, next_release)
    prices.rebuild_here(keep_old=True)
    prices.execute("create view noted as select note from latest_price")
    prices.use(monkeypatch, old)
    prices.roll_back()
    assert prices.query("select distinct note from noted") == [(None,)]
    prices.check()


def test_without_a_kept_generation_there_is_no_way_back(prices: Stage) -> None:
    prices.rebuild_here()
    with pytest.raises(UserError, match="no generation is kept.*--keep-old"):
        prices.roll_back()


def test_only_the_generation_before_is_kept(prices: Stage) -> None:
    prices.rebuild_here(keep_old=True)
    prices.rebuild_here(keep_old=True)
    assert prices.generations() == [(2, False), (3, True)]
    prices.rebuild_here()
    assert prices.generations() == [(4, True)]


@pytest.mark.parametrize(
    ("before", "after", "became"),
    [
        ("    side     text,\n    received", "    received", "is not there any more"),
        ("price    numeric     not null,\n    size", "price    text not null,\n    size",
         "is text there, and numeric in the view"),
    ],
)  # fmt: skip
def test_a_column_that_is_removed_or_of_another_type_is_refused(
    prices: Stage,
    next_release: type[Next],
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    after: str,
    became: str,
) -> None:
    text = Prices.sql_path().read_text()
    assert before in text
    next_release.path.write_text(text.replace(before, after, 1))
    prices.execute("create view mine as select price, side from latest_price")
    prices.use(monkeypatch, next_release)
    with pytest.raises(Refusal, match=rf"latest_price\.(side|price) {became}.*mine"):
        prices.rebuild_here()
    assert prices.generations() == [(1, True)]
    prices.check()
