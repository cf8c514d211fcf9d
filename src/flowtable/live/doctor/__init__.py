"""What of live mode this host can run, and what it takes to get the rest.

``probe`` asks the host, ``judge`` says what follows from the answers.
"""
