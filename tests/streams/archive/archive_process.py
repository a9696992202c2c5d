"""`tape archive` with small segments, so that a short log makes many: for tests that kill it."""

from streams.archive import log, segment
from streams.cli import main

log._BATCH = 100
segment.SEGMENT_RECORDS = 100
segment.GROUP_RECORDS = 50

if __name__ == "__main__":
    main()
