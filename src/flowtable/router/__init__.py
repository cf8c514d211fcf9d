"""The classic IP forwarding path, station by station, with the flowtable's bypass around it.

::

                              local process
                                   ^ |
                                 input output
                                   | v
     ingress --> prerouting --> routing decision --> forward --> postrouting --> egress --> transmit
        |                                              |                                       ^
     flowtable --hit-------------- fast path bypass ---|---------------------------------------'
        '--miss--> (the line above)                    '-- `flow add @f` installs the flow

Every station is a module with a function that takes the box and a packet and hands the packet
to the next station. ``Box`` holds what the stations share. Nothing here does I/O or reads a
clock: frames and times come in, frames go out through ``Box.transmit``.
"""

from flowtable.router.box import Box
from flowtable.router.statistics import Statistics

__all__ = ["Box", "Statistics"]
