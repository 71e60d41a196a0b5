"""Where an iteration's time goes: what a trace comes to, and the script from its words on."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "profile.py"
profile = runpy.run_path(str(SCRIPT))
Span = profile["Span"]


def span(start: float, end: float, name: str, category: str = "cpu_op", **more: Any) -> Any:
    return Span(start, end, name, category, **{"thread": 1, **more})


def test_a_span_has_its_time_but_for_those_inside_it() -> None:
    nested = [
        span(0, 10, "a"),
        span(1, 7, "b"),
        span(2, 3, "c"),
        span(3, 6, "a"),  # ends and begins without a gap, and has a name from further out
        span(12, 13, "a"),
        span(0, 2, "b", thread=2),  # beside, not inside
    ]
    assert profile["own"](nested) == {"a": 4 + 3 + 1, "b": 2 + 2, "c": 1}


def test_spans_that_begin_together_are_inside_the_longest() -> None:
    assert profile["own"]([span(0, 2, "in"), span(0, 5, "out"), span(2, 5, "in")]) == {
        "in": 5,
        "out": 0,
    }


def test_what_overlaps_is_covered_once() -> None:
    spans = [span(5, 6, ""), span(0, 3, ""), span(1, 2, ""), span(2, 4, ""), span(6, 7, "")]
    assert profile["covered"](spans) == 6


def events() -> list[dict[str, Any]]:
    """Two iterations of 100 microseconds on a GPU, which runs for 30 and for 60 of them."""

    def event(category: str, name: str, start: float, length: float, call: int = 0) -> Any:
        own = {"args": {"correlation": call}} if call else {}
        return {
            "ph": "X", "cat": category, "name": name, "ts": start, "dur": length, "tid": 1, **own
        }  # fmt: skip

    marks = [
        event("user_annotation", name, start + begin, length)
        for begin in (1000, 1100)
        for name, start, length in (
            (profile["REST"], 0, 100),
            (profile["BATCH"], 0, 10),
            (profile["NOISE"], 20, 60),
            ("discriminator: step", 30, 40),
            ("discriminator: backward", 30, 30),
            ("Optimizer.step#Adam.step", 60, 10),
        )
    ]
    return [
        {"ph": "M", "name": "process_name", "pid": 0, "args": {"name": "python"}},
        *marks,
        event("cuda_runtime", "cudaLaunchKernel", 1031, 2, call=7),
        event("kernel", "gemm", 1050, 30, call=7),
        event("cuda_driver", "cuLaunchKernel", 1165, 2, call=8),
        event("kernel", "fused", 1170, 50, call=8),
        event("cuda_runtime", "cudaMemcpyAsync", 1103, 2, call=9),
        event("gpu_memcpy", "Memcpy HtoD", 1160, 20, call=9),  # 10 of them beside the last
    ]


def rows(text: str) -> dict[str, list[float]]:
    """Each line's numbers, by its name."""
    found = re.findall(r"^(.+?)((?:  +[\d.]+%?)+)$", text, re.MULTILINE)
    return {name: [float(each.rstrip("%")) for each in rest.split()] for name, rest in found}


@pytest.fixture
def trace(tmp_path: Path) -> Any:
    path = tmp_path / "trace.json"
    path.write_text(json.dumps({"traceEvents": events()}))
    return profile["read"](path, iterations=2)


def test_phases_add_up_and_have_the_kernels_that_they_started(trace: Any) -> None:
    text = profile["table"](trace, iterations=2, seconds=90e-6)
    assert rows(text) == {
        "the batch": [0.010, 10, 0.010],
        "noise, learning rates": [0.020, 20, 0],
        "discriminator: backward": [0.030, 30, 0.015],
        "discriminator: step": [0.010, 10, 0.025],
        "Lightning, callbacks": [0.030, 30, 0],
        "the whole iteration": [0.100, 100, 0.050],
        "fused": [0.025, 25, 0.5],
        "gemm": [0.015, 15, 0.5],
        "Memcpy HtoD": [0.010, 10, 0.5],
    }
    # Busy for 30 + 60 of 200 microseconds; an iteration without the profiler takes 90.
    assert "an iteration: 0.090 ms, and 0.100 ms under the profiler" in text
    assert "stood idle for 55.0% under the profiler, and for 50.0% without it" in text


def test_a_replayed_iteration_has_kernels_and_no_phases(trace: Any) -> None:
    text = profile["table"](trace, iterations=2, seconds=90e-6, apart=False)
    assert list(rows(text)) == ["fused", "gemm", "Memcpy HtoD"]
    assert "trainer.cuda_graphs" in text


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True)


def test_the_script_writes_a_trace_and_a_table(tmp_path: Path) -> None:
    words = ["data=digits", "loss=wgan_gp", "model.width=2", "batch_size=4"]
    words += ["trainer.accelerator=cpu", "--iterations", "3", "--to", str(tmp_path / "found")]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert sorted(each.name for each in (tmp_path / "found").iterdir()) == [
        "table.txt",
        "trace.json",
    ]
    text = (tmp_path / "found" / "table.txt").read_text()
    assert done.stdout.startswith(text)
    whole = rows(text)
    phases = set(profile["PHASES"]) - {profile["WAIT"]}
    assert phases <= set(whole)
    assert whole["the whole iteration"][1] == 100
    total = sum(whole[name][0] for name in phases)
    assert total == pytest.approx(whole["the whole iteration"][0], abs=0.0005 * len(phases))
    spans = profile["read"](tmp_path / "found" / "trace.json", iterations=3)
    times = {name: sum(each.name == name for each in spans) for name in phases}
    # Five updates of the discriminator in each of three iterations, one of the generator; the last
    # fake samples serve both.
    assert times["discriminator: penalties"] == times["discriminator: backward"] == 15
    assert times["generator: forward"] == times["discriminator: step"] == 15
    assert times["generator: backward"] == times["average of the weights"] == 3


def test_a_wrong_word_has_the_message_that_training_has() -> None:
    done = run("modle=dcgan")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("touchstone: modle: there is no such setting or group. Did you")


def test_its_name_does_not_hide_the_standard_librarys_module() -> None:
    code = f"""import sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
import cProfile, profile
assert profile.run.__doc__ == cProfile.run.__doc__ and profile.Profile"""
    subprocess.run([sys.executable, "-c", code], check=True)
