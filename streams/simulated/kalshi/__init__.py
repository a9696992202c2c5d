"""A simulated Kalshi account beside the simulated venue: markets, orders, cash, and a trader.

- `orders`, `positions`, `account`: what an account has, exact to the cent. `book`, `markets`:
  what is traded. `exchange` drives them; `changes` are what it reports.
- `executor`: from commands to orders. `trader`: commands. `frames`: changes as Kalshi's JSON.
- `simulation`: all of it, read by our connector. `run`: live, by Kafka.
"""
