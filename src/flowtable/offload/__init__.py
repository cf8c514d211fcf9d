"""Hardware that forwards flows: the driver interface, the rule made of an entry, and drivers.

``flows`` decides when something is asked of hardware (``flows.workqueue``); here is how: ``bindings``
finds the drivers of a flowtable's devices, ``block`` asks them, ``build`` makes the rules. Drivers
are ``switch``, a model of a chip, and ``tcflower``, which programs real network cards through tc.
"""
