"""A run's own record, and the loggers that show it elsewhere."""
