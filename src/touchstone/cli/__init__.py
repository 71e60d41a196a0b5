"""The command `touchstone VERB …`: one file a verb."""

import difflib
import importlib
import os
import sys

VERBS = {
    "train": "train a GAN, resume a run, or start one from another's configuration",
    "evaluate": "compute figures of a run, or of images that others made, by a named protocol",
    "compare": "compare runs: a leaderboard, whether they differ, a report and tables",
    "sample": "draw samples of a run: a grid, single pictures, arrays, an interpolation",
    "export": "write a run's averaged generator, with its configuration, to one file",
    "detect": "say of pictures whether they are genuine: a table, and a page with what looks wrong",
    "audit": "attack synthetic records: what they leak, and what they are worth, on one page",
    "inspect": "check a data set: duplicates, corrupt and blank pictures, class balance, overlap",
    "dashboard": "open the local dashboard: runs' curves overlaid, their samples side by side",
}


# This process's words as they were given, for whoever has to repeat them.
called: list[str] = []


def main() -> None:
    """Runs the verb that the command line names; whoever reads what it prints may stop early."""
    try:
        run()
        sys.stdout.flush()
    except BrokenPipeError:  # `touchstone VERB --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # as by SIGPIPE


def run() -> None:
    """Runs the verb that the command line names."""
    match sys.argv[1:]:
        case [] | ["-h" | "--help" | "help", *_]:
            print(overview())
        case ["--version", *_]:
            from touchstone import __version__

            print(f"touchstone {__version__}")
        case [verb, *overrides] if verb in VERBS:
            called.extend(sys.argv)
            sys.argv = [f"touchstone {verb}", *overrides]
            importlib.import_module(f"touchstone.cli.{verb}").main()
        case [verb, *_]:
            near = difflib.get_close_matches(verb, VERBS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            print(
                f"touchstone: there is no verb '{verb}'.{hint} The verbs: {', '.join(VERBS)}",
                file=sys.stderr,
            )
            sys.exit(2)


def overview() -> str:
    """The page of help that lists the verbs."""
    lines = [f"  {verb:10}{purpose}" for verb, purpose in VERBS.items()]
    return "\n".join(
        [
            "touchstone: generative adversarial networks, with figures that can be believed.",
            "",
            "touchstone VERB [setting=value …]",
            *lines,
            "",
            "touchstone VERB --help shows a verb's settings.",
        ]
    )
