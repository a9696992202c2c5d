"""Lag and throughput of the last hour."""

from __future__ import annotations

import itertools
from dataclasses import replace

from streams.console.history import History
from tests.streams.console.pictures import picture
from tests.streams.monitor.pictures import NOW, group, partition


def test_a_point_is_kept_every_five_seconds_for_an_hour() -> None:
    history = History()
    for second in range(2 * 3600):
        history.add(replace(picture(), taken=NOW + second * 1_000_000))
    times = history.since(0)["times"]
    assert len(times) == 720
    assert {after - before for before, after in itertools.pairwise(times)} == {5_000_000}
    assert times[-1] == NOW + 7195 * 1_000_000


def test_every_group_and_topic_has_a_value_for_each_time_or_none() -> None:
    history = History()
    history.add(picture(0, groups=[group(partition(lag=3))]))
    history.add(picture(5, groups=[group(partition(lag=2, lag_s=0.04), projection="market")]))
    found = history.since(0)
    assert found["groups"]["tickertape-prices"]["lag"] == [3.0, None]
    assert found["groups"]["tickertape-market"]["lag_s"] == [None, 0.04]
    assert found["topics"]["trade.commands"]["rate"] == [None, None]


def test_a_page_asks_only_for_what_is_new() -> None:
    history = History()
    for number in (0, 5, 10):
        history.add(picture(number))
    assert history.since(NOW + 5_000_000)["times"] == [NOW + 10_000_000]
    assert history.since(NOW + 10_000_000)["times"] == []


def test_a_clock_that_was_set_back_begins_the_history_anew() -> None:
    history = History()
    history.add(picture(100))
    history.add(picture(0))
    assert history.since(0)["times"] == [NOW]
