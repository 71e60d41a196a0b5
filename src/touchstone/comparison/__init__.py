"""Comparing runs by their own records: which differ in what, by how much, and whether it holds."""
