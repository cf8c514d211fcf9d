"""Network cards that take flows through tc: ``cls_flower`` with ``skip_sw``.

The kernel's flowtable hands rules to drivers by itself; where there is none, tc is the way to the
same drivers. Rules are filters in a chain of their own, which a filter of ours leads to. Here are the
words for tc, and when to say them; ``live.tc`` says them.
"""
