"""What ``tools/soak`` does to a service, and the load under which it does it."""
