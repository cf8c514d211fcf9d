"""A drop-in for nft: flowtables work on kernels without them, everything else goes to nft as it is.

``arguments`` reads the command line, ``program`` finds the real nft, ``dropin`` decides what is
whose; ``kernel`` and ``output`` show the rules of the kernel with the flowtables in them.
"""
