"""A broker's disk, a database, or both are lost: afterwards every table is what it was."""

from __future__ import annotations

import json

import pytest

from projections.errors import Refusal
from tests.streams.backup.site import Site

AWAY = "postgresql://u:secret@127.0.0.1:1/x"


def test_a_lost_broker_is_restored_and_all_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.more(20)
    site.back_up()
    before, places = site.contents(), site.places()
    records = site.records("price.ticks")
    site.lose_broker()
    output = site.tape.output("restore", "log")  # as a user runs it
    assert "price.ticks: " in output
    assert "7 topics restored" in output
    assert site.home.password() not in output
    assert site.records("price.ticks") == records
    site.project()
    assert (site.contents(), site.places()) == (before, places)
    site.more(20)
    after = site.contents()
    assert after != before
    site.rebuild(monkeypatch)
    assert site.contents() == after


def test_a_lost_database_is_rebuilt_from_the_log(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, places = site.contents(), site.places()
    site.lose_database()
    site.migrate()
    site.rebuild(monkeypatch)
    assert (site.contents(), site.places()) == (before, places)


def test_projections_go_on_from_an_older_database(site: Site) -> None:
    taken = site.back_up()
    former = site.places()
    site.more(30)
    before, places = site.contents(), site.places()
    site.lose_database()
    assert site.told("restore", "database", "--from", taken["folder"])["taken"] == taken["taken"]
    assert site.places() == former
    site.project()
    assert (site.contents(), site.places()) == (before, places)


@pytest.mark.parametrize(
    "parts",
    [("log", "database"), ("database", "log")],
)
@pytest.mark.chaos
def test_both_lost_are_restored_in_either_order(site: Site, parts: tuple[str, str]) -> None:
    """The dump is of the topics as they were before the log was restored, with the old ids."""
    site.more(10)
    site.back_up()
    before, places = site.contents(), site.places()
    site.lose_topics()
    site.lose_database()
    for part in parts:
        place = ("--from", site.backups) if part == "database" else ()
        site.output("restore", part, *place)
    assert (site.contents(), site.places()) == (before, places)
    site.project()
    assert (site.contents(), site.places()) == (before, places)


@pytest.mark.chaos
def test_checkpoints_of_a_database_that_is_away_are_carried_over_later(site: Site) -> None:
    site.back_up()
    before = site.contents()
    site.lose_topics()
    result = site.run("restore", "log", TAPE_DSN=AWAY)
    assert (result.exit_code, "7 topics restored" in result.stdout) == (0, True)
    assert "the database was not reached, so checkpoints are not carried over" in result.stderr
    assert "secret" not in result.output
    with pytest.raises(Refusal, match="was deleted and made anew"):
        site.project()
    told = site.told("restore", "log", "--why", "the disk")
    assert told["topics"] == []
    check_decisions(site, told["carried"]["decisions"])
    site.project()
    assert site.contents() == before


def check_decisions(site: Site, count: int) -> None:
    """The newest decisions tell of each topic of each projection, and were sent."""
    rows = site.query(
        "select body from decisions where ce_type = 'decision.log_restored.v1' and copied"
        " order by number desc limit %s",
        count,
    )
    decided = [json.loads(row["body"]) for row in rows]
    found = [(one["projection"], one["of_topic"], one["to_topic_id"]) for one in decided]
    rows = site.query("select distinct projection, topic, topic_id::text from checkpoints")
    assert sorted(found) == sorted(tuple(row.values()) for row in rows)
    assert {one["why"] for one in decided} == {"the disk"}


def test_records_that_were_not_archived_are_never_passed_over(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes after them gets their offsets: the checkpoint behind them must not count."""
    counted = "select count(distinct trade_id) as n from price_history where trade_id like %s"
    site.back_up()
    (before,) = site.query(counted, "n%")
    site.more(5)
    site.lose_topics()
    result = site.run("restore", "log")
    assert result.exit_code == 1
    assert "prices: its tables hold 5 records of price.ticks[" in result.stderr
    assert "`tape rebuild prices --accept-gap`" in result.stderr
    site.append(40)
    with pytest.raises(Refusal, match=r"prices: price\.ticks.* was deleted and made anew"):
        site.project("prices")
    site.project("account", "market")
    site.rebuild(monkeypatch, "prices", accept_gap=True)
    site.project()
    (after,) = site.query(counted, "n%")
    assert after["n"] == before["n"] + 40
