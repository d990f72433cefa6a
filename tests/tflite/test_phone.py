"""What a phone's benchmark_model prints is read, whichever of its forms it has; adb itself is not here."""

import sys
from pathlib import Path

import pytest

import keras_inception.tflite as kt
from keras_inception.tflite.running.phone import FOLDER, Operator, parse

BEGINNING = """INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Graph: [/data/local/tmp/keras-inception/model.tflite]
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: Initialized session in 18.777ms.
INFO: count=9 first=64791 curr=56295 min=54873 max=65831 avg=57758.2 std=4065{more_of_warm_up}

INFO: count=50 first=58154 curr=53809 min=53077 max=60727 avg=55043.2 std=1562{more}

INFO: Inference timings in us: Init: 18777, First inference: 64791, Warmup (avg): 57758.2, Inference (avg): 55043.2
"""
MEMORY = "INFO: Memory footprint delta from the start of the tool (MB): init=8.97656 overall=18.7227\n"
HEADS = "\t[Node type]\t[count]\t[avg ms]\t[avg %]\t[cdf %]\t[mem KB]\t[times called]\n"
PROFILE = f"""Profiling Info for Benchmark Initialization:
============================== Summary by node type ==============================
{HEADS}\tAllocateTensors\t1\t0.612\t100.000%\t100.000%\t0.000\t1

Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
\t[node type]\t[first]\t[avg ms]\t[%]\t[cdf%]\t[mem KB]\t[times called]\t[Name]
\tQUANTIZE\t0.021\t0.020\t0.037%\t0.037%\t0.000\t1\t[tfl.quantize]:0

============================== Summary by node type ==============================
{HEADS}\tSOFTMAX\t1\t0.031\t0.057%\t99.9%\t0.000\t1
\tTfLiteXNNPackDelegate\t1\t54.210\t99.2%\t99.2%\t0.000\t1
\tQUANTIZE\t1\t0.020\t0.037%\t100.000%\t0.000\t1

Timings (microseconds): count=50 first=58100 curr=53800 min=53000 max=60700 avg=55000 std=1500
Memory (bytes): count=0
3 nodes observed
"""


def test_the_latency_and_the_costs_of_operators_are_read():
    found = parse(BEGINNING.format(more="", more_of_warm_up="") + MEMORY, "model on phone", threads=4)
    assert (found.timing.median_ms, found.timing.low_ms, found.timing.high_ms) == (55.0432, 53.077, 60.727)
    assert (found.timing.runs, found.timing.threads, found.timing.kind) == (50, 4, "phone")
    assert (found.load_ms, found.first_ms, found.memory_mb, found.operators) == (18.777, 64.791, 18.7227, ())


def test_percentiles_and_the_profile_of_the_timed_calls_are_taken_where_they_are_told():
    percentiles = " p5=53100 median=54900 p95=59000"
    found = parse(BEGINNING.format(more=percentiles, more_of_warm_up=percentiles) + PROFILE, "model", threads=1)
    assert found.memory_mb is None
    assert found.operators == (
        Operator("TfLiteXNNPackDelegate", 1, 54.21),
        Operator("SOFTMAX", 1, 0.031),
        Operator("QUANTIZE", 1, 0.02),
    )
    assert found.timing.runs == 50


@pytest.mark.parametrize("printed", ["", "INFO: STARTING!\nERROR: Failed to load model\n"])
def test_what_tells_no_latency_is_an_error(printed: str):
    with pytest.raises(kt.ExportError, match="must print the latency.*Received: '?(nothing|ERROR: Failed)"):
        parse(printed, "model", threads=1)


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in adb's place that notes what it is asked, and the files that it is about."""
    script = f"""#!{sys.executable}
import pathlib, sys
asked = pathlib.Path({str(tmp_path / "asked")!r})
asked.write_text((asked.read_text() if asked.exists() else "") + " ".join(sys.argv[1:]) + "\\n")
if "getprop" in sys.argv:
    print("Phone 9")
if sys.argv[-1].startswith({FOLDER!r} + "/benchmark_model "):
    print({(BEGINNING.format(more="", more_of_warm_up="") + PROFILE)!r})
"""
    (tmp_path / "adb").write_text(script)
    (tmp_path / "adb").chmod(0o755)
    for name in ("model.tflite", "benchmark_model"):
        (tmp_path / name).write_text("")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_file_and_tool_go_to_the_phone_and_leave_it(phone: Path):
    tool = phone / "benchmark_model"
    (found,) = kt.benchmark_on_phone([phone / "model.tflite"], tool, serial="abc", threads=2, runs=30)
    assert found.timing.name == f"{phone / 'model.tflite'} on Phone 9"
    assert found.operators[0].kind == "TfLiteXNNPackDelegate"
    asked = (phone / "asked").read_text().splitlines()
    assert all(line.startswith("-s abc ") for line in asked)
    assert f"-s abc push {phone / 'model.tflite'} {FOLDER}/model.tflite" in asked
    assert any("--num_threads=2 --num_runs=30 --enable_op_profiling=true" in line for line in asked)
    assert asked[-1] == f"-s abc shell rm -rf {FOLDER}"


def test_what_is_missing_is_told(phone: Path, monkeypatch: pytest.MonkeyPatch):
    tool = phone / "benchmark_model"
    with pytest.raises(FileNotFoundError, match="What a phone runs must exist. Received: .*other.tflite"):
        kt.benchmark_on_phone([phone / "other.tflite"], tool)
    with pytest.raises(kt.ExportError, match="A phone times .tflite files"):
        kt.benchmark_on_phone([tool], tool)
    (phone / "adb").write_text(f"#!{sys.executable}\nimport sys\nsys.exit('error: no devices/emulators found')\n")
    with pytest.raises(kt.ExportError, match="adb must reach a phone .*no devices"):
        kt.benchmark_on_phone([phone / "model.tflite"], tool)
    monkeypatch.setenv("PATH", str(phone / "nowhere"))
    with pytest.raises(kt.ExportError, match="Received: no adb on the PATH"):
        kt.benchmark_on_phone([phone / "model.tflite"], tool)
