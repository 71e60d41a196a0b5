"""`python -m touchstone VERB …`."""

from touchstone.cli import main

main()
