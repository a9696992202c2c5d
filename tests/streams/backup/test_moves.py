"""Which checkpoints mean a topic that was restored, maybe more than once."""

from __future__ import annotations

import pytest

from projections.carrying import Move
from streams.archive.manifest import Manifest, TopicId
from streams.backup.carrying import moves_of

pytestmark = pytest.mark.chaos

FIRST, SECOND, THIRD = (f"00000000-0000-0000-0000-00000000000{number}" for number in range(3))


def archived(*ids: TopicId) -> Manifest:
    return Manifest(topic="price.ticks", topic_ids=ids)


def test_each_former_id_means_the_topic_up_to_where_the_next_one_holds() -> None:
    manifest = archived(
        TopicId(topic_id=FIRST),
        TopicId(topic_id=SECOND, since={0: 10}),
        TopicId(topic_id=THIRD, since={0: 15, 1: 4}),
    )
    assert moves_of(manifest, 3) == [
        Move("price.ticks", SECOND, THIRD, {0: 15, 1: 4, 2: 0}),
        Move("price.ticks", FIRST, THIRD, {0: 10, 1: 0, 2: 0}),
    ]


def test_a_topic_that_was_never_lost_has_none() -> None:
    assert moves_of(archived(TopicId(topic_id=FIRST)), 4) == []
