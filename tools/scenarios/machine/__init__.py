"""The box of a scenario as a real one: network namespaces of the running kernel."""
