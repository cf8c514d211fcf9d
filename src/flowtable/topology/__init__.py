"""What the box is: devices, addresses, routes, neighbours, sysctls, listening services.

``boxfile`` reads and writes a box file; everything else is one module per object that an
operator names. Nothing here knows of packets in flight.
"""
