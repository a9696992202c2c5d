"""A Picture as a document, and what changes from one to the next."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from streams.console.document import Document, document, merge_patch
from streams.monitor.model import Picture
from tests.streams.console.pictures import PICTURES, picture, troubled


def applied(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, as it is written there."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = applied(result.get(name), value)
    return result


@given(st.lists(PICTURES, min_size=1, max_size=4))
def test_what_changed_applied_one_after_another_gives_the_newest_document(
    pictures: list[Picture],
) -> None:
    documents = [orjson.loads(orjson.dumps(document(one))) for one in pictures]
    page: Document = documents[0]
    for before, after in itertools.pairwise(documents):
        page = applied(page, orjson.loads(orjson.dumps(merge_patch(before, after))))
    assert page == documents[-1]


@given(PICTURES)
def test_nothing_changes_from_a_picture_to_the_same(one: Picture) -> None:
    assert merge_patch(document(one), document(one)) == {}


def test_members_are_named_and_what_is_not_known_is_left_out() -> None:
    shown = document(picture())
    assert shown["groups"]["tickertape-prices"]["partitions"]["price.ticks/3"]["state"] == "ok"
    assert shown["groups"]["tickertape-prices"]["burrow"] == "OK"
    assert "projection" not in shown["groups"]["someone-elses"]
    assert "rate" not in shown["topics"]["trade.commands"]
    assert shown["level"] == 0


def test_only_what_moved_is_in_a_change() -> None:
    patch = merge_patch(document(picture(1)), document(picture(2)))
    assert patch["topics"] == {"price.ticks": {"end": 101_624}}
    assert patch.keys() == {"taken", "topics", "groups"}


def test_what_is_over_is_taken_away() -> None:
    patch = merge_patch(document(troubled(0)), document(picture(0)))
    assert patch["incidents"] == {"feed:kraken": None}
    assert patch["level"] == 0
