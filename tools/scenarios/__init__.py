"""Recorded truth: scenarios, what real kernels made of them, and what the box makes of them."""
