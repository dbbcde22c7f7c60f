"""What makes a network legal on a chip: each limit a small function that is named after its rule.

A rule yields its violations as sentences: what was needed, what the limit is, and what would help.
"""
