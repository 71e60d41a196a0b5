"""The detectors: one file each, beside `detector.py`, which says what a detector is."""
