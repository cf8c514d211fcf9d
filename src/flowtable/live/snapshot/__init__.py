"""The box file of a Linux host: its mirror, without what follows by itself, and what listens on it."""
