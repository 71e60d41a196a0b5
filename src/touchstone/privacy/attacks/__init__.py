"""Membership inference: guesses, from what was published, whose records were trained on."""
