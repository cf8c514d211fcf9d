"""Rulesets as JSON, in libnftables' schema.

``writer`` makes a document of a ruleset, ``reader`` makes the text of one, which then takes the way
of any other text: so a document means what its text means. What a kind of selector or statement
looks like as JSON is the kind's own business: its ``json`` method writes it, and a function listed
in ``reader`` under its key reads it. What has no form in the schema is written as a string, its
text, and read back as such.

Ref: nftables doc/libnftables-json.adoc, src/json.c, src/parser_json.c.
"""
