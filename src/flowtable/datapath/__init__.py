"""Where flow entries forward packets, behind the ``Datapath`` that ``flows`` defines.

``reference`` is the executable specification: Python, in process.
"""
