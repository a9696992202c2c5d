"""What is wrong in a picture: sentences, each about one node of the system, and its likely causes.

A node is a thing that can fail: `broker`, `database`, `disk/log`, `feed/coinbase`, `feeds/kalshi`
(where a venue has several), `projection/prices`, `group/…`, `venue/coinbase`, `marks/…`. `causes`
are the nodes that would explain the symptom, the likeliest first; see `incidents` for how one
incident comes of it.
"""

from __future__ import annotations

from streams.monitor.model import Picture
from streams.monitor.symptoms.base import Symptom
from streams.monitor.symptoms.feeds import follows, of_feeds, of_source
from streams.monitor.symptoms.groups import of_group
from streams.monitor.symptoms.records import of_account, of_dead_letters
from streams.monitor.symptoms.stores import of_disk, of_host, of_postgres, of_stores
from streams.monitor.thresholds import Thresholds

__all__ = ["Symptom", "follows", "symptoms"]


def symptoms(picture: Picture, thresholds: Thresholds) -> list[Symptom]:
    """All of them. Pure: the same picture gives the same."""
    return [
        *of_stores(picture),
        *of_postgres(picture, thresholds),
        *(one for disk in picture.disks for one in of_disk(disk, picture.taken, thresholds)),
        *of_host(picture, thresholds),
        *of_feeds(picture),
        *(one for group in picture.groups for one in of_group(group, picture.taken, thresholds)),
        *(one for source in picture.freshness for one in of_source(source, picture)),
        *of_dead_letters(picture),
        *(one for account in picture.accounts for one in of_account(account, picture)),
    ]
