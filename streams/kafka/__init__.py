"""Kafka: `client` connects and produces, `reader` reads from where the store left off, `topics` makes and checks."""
