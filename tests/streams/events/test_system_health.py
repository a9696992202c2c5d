"""Events of `system.health`: which of them keep their order, and what makes two of them one."""

from __future__ import annotations

import json

from streams.events import Heartbeat, Incident, Restart, decode, encode
from streams.events.catalogue import BY_TYPE
from tests.streams.events.examples import GOOD


def incident(**fields: object) -> Incident:
    return Incident.model_validate(GOOD["health.incident"] | fields)


def restart(**fields: object) -> Restart:
    return Restart.model_validate(GOOD["health.restart"] | fields)


def test_all_that_is_told_of_one_cause_keeps_its_order() -> None:
    opened, closed = incident(), incident(action="closed", incident="another")
    assert encode(opened).key == encode(closed).key == b"feed/coinbase"


def test_an_incident_is_told_once_of_each_time_and_action() -> None:
    told = {
        one.event_id()
        for one in (incident(), incident(action="changed"), incident(time=1_754_518_200_000_001))
    }
    assert len(told) == 3
    assert incident(detail=None).event_id() == incident().event_id()


def test_restarts_stand_with_the_heartbeats_of_the_service_that_died() -> None:
    one = restart(service="producer/coinbase", supervisor="tape-produce")
    beat = Heartbeat.model_validate(GOOD["health.heartbeat"])
    assert (one.key(), one.topic) == (beat.key(), beat.topic)
    assert one.source() == "/services/tape-produce"
    assert one.event_id() != restart(service="producer/coinbase").event_id()


def test_a_heartbeat_of_before_there_were_crash_loops_is_read() -> None:
    record = encode(Heartbeat.model_validate(GOOD["health.heartbeat"]))
    fields = json.loads(record.value)
    del fields["crash_loop"]
    event = decode(json.dumps(fields).encode(), record.headers)
    assert isinstance(event, Heartbeat)
    assert event.crash_loop is None


def test_they_are_in_the_catalogue() -> None:
    assert BY_TYPE["health.incident.v1"] is Incident
    assert BY_TYPE["health.restart.v1"] is Restart
