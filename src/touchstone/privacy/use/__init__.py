"""Use: what synthetic rows are worth in place of the real ones, one question a file."""
