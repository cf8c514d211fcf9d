"""Where flow entries forward packets, behind the ``Datapath`` that ``flows`` defines.

``reference`` is the executable specification: Python, in process. ``native`` and ``xdp`` are the same
fast path in C (``c/``), in this process and in the kernel.
"""
