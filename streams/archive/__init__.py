"""The archive: topics' records kept as Parquet files, so that retention bounds no rebuild.

Each topic is a folder with a manifest; each of its partitions a folder of segments, files of
consecutive records that follow each other without a hole. Only what the manifest names counts.
"""
