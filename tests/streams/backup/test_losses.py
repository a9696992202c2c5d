"""A broker's disk, a database, or both are lost: afterwards every table is what it was."""

from __future__ import annotations

import json

import pytest

from projections.errors import Refusal
from tests.streams.backup.site import Site


def test_a_lost_broker_is_restored_and_all_goes_on(
    backed_up: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = backed_up
    site.more(20)
    site.back_up()
    before, places = site.contents(), site.places()
    records = site.records("price.ticks")
    site.lose_broker()
    told = site.tape.output("restore", "log", "--why", "the disk")
    assert "price.ticks: " in told
    assert site.records("price.ticks") == records
    site.project()
    assert (site.contents(), site.places()) == (before, places)
    site.more(20)
    after = site.contents()
    assert after != before
    site.rebuild(monkeypatch)
    assert site.contents() == after


def test_a_lost_database_is_rebuilt_from_the_log(
    backed_up: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, places = backed_up.contents(), backed_up.places()
    backed_up.lose_database()
    backed_up.migrate()
    backed_up.rebuild(monkeypatch)
    assert (backed_up.contents(), backed_up.places()) == (before, places)


def test_projections_go_on_from_an_older_database(backed_up: Site) -> None:
    taken = backed_up.back_up()
    backed_up.more(30)
    before, places = backed_up.contents(), backed_up.places()
    backed_up.lose_database()
    told = json.loads(
        backed_up.tape.output("restore", "database", "--from", taken["folder"], "--json")
    )
    assert told["taken"] == taken["taken"]
    assert sum(one["next_offset"] for one in backed_up.places()) == sum(
        one["next_offset"] for one in taken["checkpoints"]
    )
    backed_up.project()
    assert (backed_up.contents(), backed_up.places()) == (before, places)


def test_both_lost_are_restored_in_either_order(backed_up: Site) -> None:
    """The dump is of the topics as they were before the log was restored, with the old ids."""
    site = backed_up
    site.more(10)
    taken = site.back_up()
    before, places = site.contents(), site.places()
    site.lose_topics()
    site.lose_database()
    assert site.tape.run("restore", "log")[0] == 0
    told = json.loads(site.tape.output("restore", "database", "--from", site.backups, "--json"))
    assert told["taken"] == taken["taken"]
    assert told["carried"]["checkpoints"] == len(taken["checkpoints"])
    assert (site.contents(), site.places()) == (before, places)
    site.project()

    site.lose_topics()
    site.lose_database()
    site.tape.output("restore", "database", "--from", site.backups)
    site.tape.output("restore", "log")
    site.project()
    assert (site.contents(), site.places()) == (before, places)


def test_a_database_that_is_away_is_carried_over_later(backed_up: Site) -> None:
    site = backed_up
    site.back_up()
    before = site.contents()
    site.lose_topics()
    away = "postgresql://u:secret@127.0.0.1:1/x"
    status, output, errors = site.tape.run("restore", "log", TAPE_DSN=away)
    assert (status, "8 topics" in output or "7 topics restored" in output) == (0, True)
    assert "the database was not reached" in errors
    assert "secret" not in output + errors
    with pytest.raises(Refusal, match="was deleted and made anew"):
        site.project()
    told = site.tape.output("restore", "log")
    assert told.startswith("0 topics restored")
    site.project()
    assert site.contents() == before


def test_what_was_carried_over_is_a_decision(backed_up: Site) -> None:
    site = backed_up
    site.back_up()
    site.lose_topics()
    told = json.loads(site.tape.output("restore", "log", "--why", "the disk", "--json"))
    ids = {one["topic"]: (one["former_id"], one["topic_id"]) for one in told["topics"]}
    bodies = [
        json.loads(row["body"])
        for row in site.query(
            "select body from decisions where ce_type = 'decision.log_restored.v1' and copied"
            " order by number desc limit %s",
            told["carried"]["decisions"],
        )
    ]
    assert {(one["projection"], one["of_topic"]) for one in bodies} == {
        (row["projection"], row["topic"])
        for row in site.query("select distinct projection, topic from checkpoints")
    }
    for one in bodies:
        assert (one["of_topic_id"], one["to_topic_id"]) == ids[one["of_topic"]]
        assert one["why"] == "the disk"


def test_records_that_were_not_archived_are_never_passed_over(
    backed_up: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes after them gets their offsets: its checkpoint must not mean these."""
    site = backed_up
    site.back_up()
    counted = "select count(distinct trade_id) as n from price_history where trade_id like %s"
    (before,) = site.query(counted, "n%")
    site.more(5)
    site.lose_topics()
    status, _, errors = site.tape.run("restore", "log")
    assert status == 1
    assert "prices: its tables hold 5 records of price.ticks[" in errors
    assert "`tape rebuild prices --accept-gap`" in errors
    site.append(40)
    with pytest.raises(Refusal, match="prices: price.ticks.*was deleted and made anew"):
        site.project("prices")
    site.project("account", "market")
    site.rebuild(monkeypatch, accept_gap=True)
    site.project()
    (after,) = site.query(counted, "n%")
    assert after["n"] == before["n"] + 40
