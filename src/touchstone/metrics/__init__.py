"""Extractors, and the metrics computed on their features."""
