"""Rules on real packets: through nft in a network namespace, and through our box.

``*.txt`` are tables. A line ``= family ; chain`` says which chain the rules below it stand in, a
line ``+ ...`` declares something in the table for the rows below it, up to the next ``=``. Others
are ``rule ; packets``; several rules of one row are separated by `` ;; ``. ``packets.py`` says how
packets are written.
"""
