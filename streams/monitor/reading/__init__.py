"""Where a picture's facts come from: brokers, database, heartbeats, commits, disks."""
