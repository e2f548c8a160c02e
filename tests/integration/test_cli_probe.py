"""`ald machine probe` on the simulated PLC, which counts what it is asked."""

import json
import re

import pytest

from fixtures.program import said
from fixtures.wait import eventually

pytestmark = pytest.mark.integration


def probe(ald, simulator, options):
    done = ald(f"ald machine probe 127.0.0.1 --port {simulator.port} -o json {options}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_probe_with_a_machine_tells_the_word_order_and_writes_nothing(ald, simulator):
    simulator.force(**{"chamber-heater.temperature-read": 25.0, "mfc-1.flow-read": 20.0})
    found = probe(ald, simulator, f"--machine {simulator.machine_file}")
    values = {c["name"]: c for c in found["candidates"]}
    heater = values["chamber-heater.temperature-read"]
    assert heater["values"]["CDAB"] == 25.0
    assert heater["declared"] == "CDAB"
    best = found["verdicts"][0]
    assert (best["order"], best["fitting"]) == ("CDAB", best["telling"])
    assert all(len(block["times_ns"]) == 5 for block in found["blocks"])
    state = simulator.state()
    assert {int(function) for function in state["requests"]} <= {1, 2, 3, 4}
    assert simulator.trace() == []
    eventually(lambda: simulator.state()["connections"]["open"] == 0, within_s=5)


def test_a_probe_reads_what_the_command_line_says(ald, simulator):
    simulator.force(**{"chamber-heater.temperature-set": 200.0})
    found = probe(ald, simulator, "--table holding --start 2000 --count 4 --type float32")
    assert [(b["table"], b["first"], b["count"]) for b in found["blocks"]] == [("holding", 2000, 4)]
    first = found["candidates"][0]
    assert (first["address"], first["values"]["CDAB"]) == (2000, 200.0)


def test_a_probe_shows_blocks_values_and_a_verdict(ald, simulator):
    done = ald(
        f"ald machine probe 127.0.0.1 --port {simulator.port} --machine {simulator.machine_file}"
    )
    assert "nothing was written" in done.stdout
    assert re.search(r"holding +2000 to 2009 .* values", done.stdout)
    assert re.search(r"CDAB: \d of \d values within their limits, declared for \d", done.stdout)


def test_a_table_that_the_plc_does_not_know_is_said_once(ald, simulator):
    simulator.faults(reject_function=4, reject_code=1)
    found = probe(ald, simulator, "--count 300")
    (refused,) = found["refused"]
    assert (refused["table"], refused["first"], refused["count"]) == ("input", 0, 300)
    assert "does not know this function" in refused["why"]
    assert {b["table"] for b in found["blocks"]} == {"coil", "discrete", "holding"}


def test_a_plc_that_is_not_there_or_silent_is_said_in_one_line(ald, simulator):
    line = f"ald machine probe 127.0.0.1 --port {simulator.port} --timeout 200ms"
    simulator.faults(freeze=True)
    done = ald(line)
    assert done.returncode == 1
    assert "3 reads in a row stayed without an answer" in said(done)
    simulator.kill()
    done = ald(line)
    assert done.returncode == 1
    assert "Connection refused" in said(done)
