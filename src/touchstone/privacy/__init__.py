"""Data privacy: training that no record makes much of a difference to, and what records leak."""
