"""Backups, and what is restored from them.

The log's backup is the archive, the database's a dump. Restored records stand at the offsets that
they had, with the append times that they had: so checkpoints, dead letters and decisions mean what
they meant, but for the topic's id.
"""
