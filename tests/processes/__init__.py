"""Processes that tests start by the hundred: each is forked from one that has imported it all."""
