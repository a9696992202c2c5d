"""Topics against the real broker: made, compared, mended, refused."""

import secrets
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from typer.testing import CliRunner

from streams import admin, topics
from streams.cli import app
from streams.embedded.stack import StackInfo
from streams.errors import UserError
from streams.events.catalogue import TOPICS, TopicSpec
from streams.settings import Endpoints
from streams.topics import MissingTopic, ensure_topics, record_counts, topic_ids, topic_states


@pytest.fixture
def endpoints(stack: StackInfo) -> Endpoints:
    return Endpoints(stack.brokers, {}, stack.dsn, True, True)


@pytest.fixture
def spec(monkeypatch: pytest.MonkeyPatch) -> TopicSpec:
    """A catalogue of one topic that no other test has."""
    own = replace(TOPICS[0], name=f"topics-{secrets.token_hex(6)}", partitions=3)
    monkeypatch.setattr(topics, "TOPICS", (own,))
    return own


@pytest.fixture
def client(brokers: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": brokers})


def make(
    client: AdminClient, endpoints: Endpoints, name: str, partitions: int, **config: str
) -> None:
    settings = {key.replace("_", "."): value for key, value in config.items()}
    made = client.create_topics([NewTopic(name, partitions, config=settings)])
    made[name].result()
    admin.Broker(endpoints).wait_for([name])


def test_topics_are_made_as_the_catalogue_says(endpoints: Endpoints, spec: TopicSpec) -> None:
    made = ensure_topics(endpoints)
    assert [state.name for state in made] == [spec.name, spec.dead_letter_topic]
    assert all(state.created and not state.differences for state in made)
    assert [state.partitions for state in made] == [3, 3]
    assert [state.retention_ms for state in made] == [spec.retention_ms, 90 * 86_400_000]
    found = admin.Broker(endpoints).settings(spec.name)
    assert {key: found[key] for key in spec.config()} == spec.config()

    again = ensure_topics(endpoints)
    assert again == [replace(state, created=False) for state in made]
    assert topic_states(endpoints) == again
    assert topic_ids(endpoints, [spec.name]) == {spec.name: made[0].topic_id}
    assert record_counts(endpoints, [spec.name]) == {spec.name: 0}


def test_settings_that_differ_are_told_and_mended(
    endpoints: Endpoints, spec: TopicSpec, client: AdminClient
) -> None:
    make(client, endpoints, spec.name, 3, retention_ms="60000", segment_ms="3600000")
    before = topic_states(endpoints)[0].differences
    assert before["retention.ms"] == ("60000", str(spec.retention_ms))
    assert before["message.timestamp.type"] == ("CreateTime", "LogAppendTime")

    told = ensure_topics(endpoints)[0]
    assert (told.created, told.differences) == (False, before)
    assert topic_states(endpoints)[0].differences == {}
    # What the catalogue does not speak of is the operator's.
    assert admin.Broker(endpoints).settings(spec.name)["segment.ms"] == "3600000"


def test_more_partitions_are_taken(
    endpoints: Endpoints, spec: TopicSpec, client: AdminClient
) -> None:
    make(client, endpoints, spec.name, 5)
    assert ensure_topics(endpoints)[0].partitions == 5


@pytest.mark.parametrize(
    ("partitions", "policy", "told"),
    [
        (2, "delete", "2 partitions"),
        (3, "compact", "compacted"),
        (3, "compact,delete", "compacted"),
    ],
)
def test_what_cannot_be_mended_is_refused(
    endpoints: Endpoints,
    spec: TopicSpec,
    client: AdminClient,
    partitions: int,
    policy: str,
    told: str,
) -> None:
    make(client, endpoints, spec.name, partitions, cleanup_policy=policy)
    before = topic_states(endpoints)
    with pytest.raises(UserError, match=f"{spec.name}.*{told}"):
        ensure_topics(endpoints)
    assert topic_states(endpoints) == before, "nothing is changed, and no other topic is made"


def test_a_missing_topic_is_named(endpoints: Endpoints, spec: TopicSpec) -> None:
    with pytest.raises(MissingTopic, match=f"{spec.name}.*tape topics create"):
        topic_ids(endpoints, [spec.name])


def test_a_topic_made_anew_has_another_id(
    endpoints: Endpoints, spec: TopicSpec, client: AdminClient
) -> None:
    first = ensure_topics(endpoints)[0].topic_id
    client.delete_topics([spec.name])[spec.name].result()
    while admin.Broker(endpoints).describe([spec.name]):  # the controller answers first
        pass
    second = ensure_topics(endpoints)[0]
    assert second.created
    assert second.topic_id != first


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Endpoints:
    monkeypatch.setattr(admin, "_TIMEOUT_S", 0.5)
    return Endpoints("127.0.0.1:1", {}, "", True, True)


def test_a_broker_out_of_reach_is_named(nobody: Endpoints) -> None:
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1.*tape doctor"):
        ensure_topics(nobody)
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1.*tape doctor") as raised:
        topic_ids(nobody, ["any"])
    assert not isinstance(raised.value, MissingTopic)


def test_the_commands(stack: StackInfo, spec: TopicSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPE_BROKERS", stack.brokers)
    monkeypatch.setenv("TAPE_DSN", stack.dsn)
    runner = CliRunner()
    assert "tape topics create" in runner.invoke(app, ["topics", "list"]).output
    assert f"{spec.name} created" in runner.invoke(app, ["topics", "create"]).output
    assert f"{spec.name} is there" in runner.invoke(app, ["topics", "create"]).output
    assert spec.name in runner.invoke(app, ["topics", "list"]).output
    assert f'"name": "{spec.name}"' in runner.invoke(app, ["topics", "list", "--json"]).output
