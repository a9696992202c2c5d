"""The process of `quix.py`; it runs in quixstreams' own environment, without our packages."""

import json
import sys
from pathlib import Path
from typing import Any

import psycopg2.extensions
import quixstreams
from quixstreams.sinks.community.postgresql import PostgreSQLSink

PRIMARY_KEY = ["venue", "symbol", "time", "trade_id"]


def _main(job: dict[str, Any]) -> None:
    place = psycopg2.extensions.parse_dsn(job["dsn"])
    sink = PostgreSQLSink(
        host=place["host"],
        port=int(place["port"]),
        dbname=place["dbname"],
        user=place["user"],
        password=place["password"],
        table_name="price_history",
        schema_auto_update=False,
        primary_key_columns=PRIMARY_KEY,
        upsert_on_primary_key=True,
        include_metadata=False,
    )
    app = quixstreams.Application(
        broker_address=job["brokers"],
        consumer_group=job["run"],
        state_dir=str(Path(job["workdir"]) / "state"),
        auto_offset_reset="earliest",
        auto_create_topics=False,
        commit_every=5000,
        commit_interval=5,
        consumer_extra_config={"fetch.message.max.bytes": 4 * 1024 * 1024},
    )
    app.dataframe(app.topic(job["topic"], value_deserializer="json")).sink(sink)
    app.run()


if __name__ == "__main__":
    _main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
