"""Building generations from the log: rebuilds, and what is built beside to compare or explain.

Nothing here has a producer, and no module of it may import one (see pyproject.toml): to read the
log again must never cause an effect outside of the tables that are being built.
"""
