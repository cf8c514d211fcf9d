"""Linux as the classic path: the service that keeps flows of the running kernel on the fast path.

What can be decided without sockets is apart from what reads and writes them, as the ``engine``
from the ``service``, and the messages of the control socket from the socket.
"""
