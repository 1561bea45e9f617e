"""Sinks: the tools that analysts already have open, told of what is decided, each in its own protocol."""
