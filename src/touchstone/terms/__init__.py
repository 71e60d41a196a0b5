"""What is added to the players' losses beside the adversarial one, one idea a file."""

from touchstone.terms.term import Creation, Critique, Term, Verdict

__all__ = ["Creation", "Critique", "Term", "Verdict"]
