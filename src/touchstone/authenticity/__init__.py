"""Anti-counterfeiting: what a run has learned of genuine items, put to telling counterfeits."""
