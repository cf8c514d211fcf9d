"""What rules do: one module per kind of statement, matches included."""
