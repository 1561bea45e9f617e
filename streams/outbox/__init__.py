"""The outbox: notices carried out of the house, to whoever wants them, apart from the stream."""
