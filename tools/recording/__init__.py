"""Recording real programs on network namespaces that stand for hosts."""
