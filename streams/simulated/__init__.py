"""A simulated venue on this machine: seeded prices over Coinbase's real protocol."""

from streams.simulated.faults import Faults
from streams.simulated.market import Market
from streams.simulated.server import SimulatedVenue

__all__ = ["Faults", "Market", "SimulatedVenue"]
