"""A projection that keeps some days only goes on, and is compared, with a log that begins late."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner

from streams import cli
from streams.admin import Broker
from streams.embedded.home import Home
from streams.events.system_health import TOPIC
from streams.rebuild.verify import Verified, verify
from streams.topics import ensure_topics
from tests.projections.health.told import START, TABLES, beat, incident, restart
from tests.streams.rebuild.logged import Logged
from tests.streams.rebuild.stage import Quiet

pytestmark = pytest.mark.long

MINUTE = 60_000_000


class Site(Logged):
    """A stack of the module's own, whose log of health loses its begin."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self.minute = 0

    def tell(self, count: int) -> None:
        """So many more minutes of a service, a restart each, and what is known of an incident."""
        now = time.time_ns() // 1000 - START
        for _ in range(count):
            self.minute += 1
            at = now + (self.minute - 600) * MINUTE
            self.send([beat(at, frames=self.minute), restart(at), incident(at, action="changed")])

    def forget(self, below: int) -> None:
        """Has the broker delete what is below this offset, as retention does."""
        admin = AdminClient({"bootstrap.servers": self.endpoints.brokers})
        for future in admin.delete_records([TopicPartition(TOPIC, 0, below)]).values():
            future.result()

    def make_anew(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.endpoints.brokers, "log_level": 0})
        admin.delete_topics([TOPIC])[TOPIC].result(30)
        while Broker(self.endpoints).describe([TOPIC]):  # the controller answers first
            pass
        ensure_topics(self.endpoints)

    def contents(self) -> dict[str, Any]:
        return {
            table: self.query(
                f"select (to_jsonb(t) - '{{appended}}'::text[])::text as row from {table} as t"
                " order by 1"
            )
            for table in TABLES
        }

    def verify(self) -> Verified:
        return asyncio.run(verify("health", self.endpoints, Quiet()))

    def compared(self) -> dict[str, int]:
        """Nothing differs; how many rows of each table were looked at."""
        found = self.verify()
        assert found.first is None, found.first
        return {table.table: table.rows for table in found.tables}

    def check(self) -> tuple[int, str]:
        environment = {"TAPE_HOME": str(self.home.path), "COLUMNS": "120"}
        result = CliRunner(env=environment).invoke(cli.app, ["topics", "check"])
        return result.exit_code, result.output


@pytest.fixture(scope="module")
def of_module(module_home: Home) -> Site:
    return Site(module_home)


@pytest.fixture
def site(of_module: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """With ten minutes, projected, of a new topic; what was there before is in the tables only."""
    monkeypatch.setenv("TAPE_HOME", str(of_module.home.path))  # for the loaders
    of_module.make_anew()
    of_module.tell(10)
    of_module.project("health")
    return of_module


def test_a_log_that_lost_its_begin_is_compared_and_rebuilt_as_far_as_it_goes(site: Site) -> None:
    assert site.compared()["health_minutes"] == 10
    site.forget(15)
    assert 4 <= site.compared()["health_minutes"] <= 5
    status, output = site.check()
    assert (status, "health can be rebuilt in full" in output) == (0, True), output
    before = site.contents()
    site.tape.output("rebuild", "health")
    after = site.contents()
    assert [len(after[name]) for name in ("health_minutes", "health_restarts")] == [5, 5]
    for name in ("health_services", "health_changes", "health_incidents"):
        assert after[name] == before[name]


def test_a_row_that_the_log_does_not_make_is_found_all_the_same(site: Site) -> None:
    [current] = site.query(
        "select generation from generations where projection = 'health' and is_current"
    )
    table = f"health_{current['generation']}.health_restarts"
    site.query(
        f"update {table} set reason = 'x' where time = (select max(time) from {table}) returning 1"
    )
    first = site.verify().first
    assert first is not None
    assert (first.table, first.columns) == ("health_restarts", ["reason"])
    site.query(f"update {table} set reason = 'SIGKILL' returning 1")
    assert site.verify().first is None


def test_what_was_deleted_before_it_was_read_is_passed_over(site: Site) -> None:
    site.tell(6)
    site.forget(10 * 3 + 4 * 3)
    site.project("health")
    frames = [row["frames"] for row in site.query("select frames from health_minutes order by 1")]
    assert frames[-3:] == [site.minute - 6, site.minute - 1, site.minute]
    assert 1 <= site.compared()["health_minutes"] <= 2
    assert site.check()[0] == 0


def test_a_topic_that_was_made_anew_is_gone_on_with_and_the_rows_stay(site: Site) -> None:
    """As after a lost broker: this topic is not restored."""
    held = len(site.query("select minute from health_minutes"))
    site.make_anew()
    site.project("health")
    assert site.compared()["health_minutes"] == 0
    site.tell(2)
    site.project("health")
    assert len(site.query("select minute from health_minutes")) == held + 2 >= 12
    assert site.compared()["health_minutes"] == 2
    assert site.check()[0] == 0
