"""Fake spot venues: the public feeds of exchanges, on loopback, with faults."""
