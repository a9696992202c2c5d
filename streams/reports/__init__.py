"""What is read from PostgreSQL to be shown: trades, and profit and loss."""
