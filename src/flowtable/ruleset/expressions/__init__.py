"""What rules read: one module per kind of selector."""
