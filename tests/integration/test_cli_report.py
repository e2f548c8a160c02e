"""`ald run report` on a real history; only kubectl is played, by running `exec` on this machine."""

import asyncio
import csv
import io
import json
import re
import sys
from pathlib import Path

import pytest

from ald.records.event import RunOutcome, WriteOutcome
from fixtures import recorded_run
from fixtures.program import said
from unit.store.feeds import PLANT, RUN, Feed

pytestmark = pytest.mark.integration


def report(ald, url, options=""):
    done = ald(f"ald run report al2o3-demo-0001 -n lab --database {url} -o json {options}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_report_holds_every_pulse_trace_and_row(ald, recorded):
    found = report(ald, recorded, "--pulses")
    run = found["run"]
    assert (run["uid"], run["recipe"], run["outcome"]) == (RUN, "al2o3", "Completed")
    assert found["loops"] == [{"name": "deposit", "count": 3, "begun": 3, "first": 1}]
    assert found["reached"] == {"step": "deposit/tma", "iterations": [[3, 3]]}
    (step,) = found["steps"]
    assert (step["name"], step["kind"], step["count"], step["failed"]) == (
        *("deposit/tma", "valve"),
        *(3, 0),
    )
    assert step["median_s"] == pytest.approx(0.05)
    widths = found["widths"]
    assert (widths["count"], widths["whole"]) == (3, 3)
    assert (widths["p50_ns"], widths["p99_ns"], widths["max_ns"]) == (100_000, 300_000, 300_000)
    assert (widths["worst"]["ordinal"], widths["worst"]["iterations"]) == (2, [2])
    assert [p["error_ns"] for p in found["pulses"]] == [0, 300_000, -100_000]
    heater, flow, valve = found["traces"]
    assert (heater["name"], heater["unit"], heater["count"]) == (
        *("heater.temperature-read", "°C"),
        3,
    )
    assert (heater["minimum"], heater["mean"], heater["maximum"]) == (21.0, 22.0, 23.0)
    assert (flow["bad"], flow["mean"]) == (1, 5.0)
    assert valve["name"] == "valve.tma"
    assert [p for p in heater["points"] if p is not None] == [21.0, 22.0, 23.0]
    assert len(heater["points"]) == 40
    stored = found["stored"]
    assert (stored["scans"], stored["values"], stored["expected"]) == (3, 9, 9)
    (feed,) = stored["feeds"]
    # Position 1 is the plant, 2 a scan before the run, 3 its start; the last scan is not the run's.
    assert (feed["first"], feed["last"], feed["missing"]) == (3, 19, 0)


def test_a_summary_is_short_and_plain(ald, recorded):
    done = ald(f"ald run report al2o3-demo-0001 -n lab --summary --database {recorded}")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "Run       al2o3-demo-0001 in namespace lab",
        "Machine   reactor",
        "Recipe    al2o3 with cycles=3",
        "Outcome   Completed after 4.0 s",
        "Cycles    3 of 3 begun in deposit",
        "Pulses    3; width error p50 0.100 ms, p99 0.300 ms, worst +0.300 ms: deposit/tma of 40.000 ms in cycle 2",
        "Stored    3 scans, 9 rows",
        "Gaps      none in positions 3 to 19 of feed feed-1",
    ]


def test_a_page_shows_steps_pulses_and_traces(ald, recorded):
    done = ald(f"ald run report al2o3-demo-0001 --pulses --database {recorded}")
    assert re.search(r"deposit/tma +valve +3 +0 +50 ms", done.stdout)
    assert re.search(r"2 +deposit/tma +tma +2 +22:13:22.000 +40.000 +\+0.300", done.stdout)
    assert re.search(r"heater\.temperature-read +°C +21 +22 +23 +3 +0 +▁ .*█", done.stdout)


async def test_what_is_missing_cut_short_or_rejected_is_said(ald, database):
    feed = Feed("feed-1")
    feed.load(PLANT)
    recorded_run.begin(feed)
    recorded_run.cycle(feed, 1, error_ns=50_000)
    feed.skip(4)
    recorded_run.cycle(
        feed, 2, error_ns=-30_000_000, step_error="aborted", outcome=WriteOutcome.CONFIRMED
    )
    feed.scan(run=RUN, plant_digest="00" * 32)
    recorded_run.end(feed, RunOutcome.ABORTED, "enough", by="tester")
    await recorded_run.write(database, feed)
    lines = ald(f"ald run report {RUN} --summary --database {database}").stdout
    assert "Outcome   Aborted after 4.0 s, asked for by tester: enough" in lines
    assert "Cycles    2 of 3 begun" in lines
    assert "startAt: {step: deposit, cycle: 3}" in lines
    assert "2 (1 of them cut short or not confirmed)" in lines
    assert "worst +0.050 ms: deposit/tma of 40.000 ms" in lines
    assert "1 record REJECTED, see dead_letters" in lines
    assert "4 positions MISSING in positions 2 to 18" in lines


async def test_cycles_of_a_run_that_starts_at_one_are_numbered_as_the_recipe_does(ald, database):
    feed = Feed("feed-1")
    feed.load(PLANT)
    recorded_run.begin(feed, instructions=recorded_run.begun_in_the_middle())
    recorded_run.cycle(feed, 2, inner=(7,))
    recorded_run.cycle(feed, 3, inner=(1,))
    recorded_run.end(feed, RunOutcome.STOPPED, "enough", by="tester")
    await recorded_run.write(database, feed)
    lines = ald(f"ald run report {RUN} --summary --database {database}").stdout
    assert lines.count("Cycles ") == 1
    assert "Cycles    2 to 3 of 3 begun in deposit" in lines
    assert "Go on     cycle 1 of 7 of deposit/inner was begun; a new run goes on behind it" in lines
    assert "startAt: {step: deposit/inner, cycle: 2, outerCycles: [3]}" in lines


async def test_a_run_in_progress_is_reported_as_far_as_it_is(ald, database):
    feed = Feed("feed-1")
    feed.load(PLANT)
    recorded_run.begin(feed)
    recorded_run.cycle(feed, 1)
    await recorded_run.write(database, feed)
    lines = ald(f"ald run report al2o3-demo-0001 --summary --database {database}").stdout
    assert "Outcome   not ended at step deposit/tma" in lines
    assert "Gaps      none in positions 2 to 7" in lines


def test_each_table_comes_as_csv(ald, recorded):
    rows = {
        name: list(
            csv.DictReader(
                io.StringIO(
                    ald(f"ald run report al2o3-demo-0001 --csv {name} --database {recorded}").stdout
                )
            )
        )
        for name in ("pulses", "steps", "samples")
    }
    assert [(r["valve"], r["error_ns"], r["opened"]) for r in rows["pulses"]] == [
        ("tma", "0", "2023-11-14T22:13:21.000000Z"),
        ("tma", "300000", "2023-11-14T22:13:22.000000Z"),
        ("tma", "-100000", "2023-11-14T22:13:23.000000Z"),
    ]
    assert [(r["ordinal"], r["kind"], r["iterations"]) for r in rows["steps"]] == [
        ("1", "valve", "1"),
        ("2", "valve", "2"),
        ("3", "valve", "3"),
    ]
    assert len(rows["samples"]) == 9
    assert rows["samples"][4] == {
        "time": "2023-11-14T22:13:22.100000Z",
        "parameter": "mfc.flow-read",
        "value": "",
        "unit": "°C",
        "quality": "bad",
        "position": "13",
    }


def test_an_unknown_run_names_those_that_there_are(ald, recorded):
    done = ald(f"ald run report nothing -n lab --database {recorded}")
    assert done.returncode == 1
    assert said(done) == (
        "no run named nothing in namespace lab is on record; the last ones there are al2o3-demo-0001"
    )
    assert "there is none at all" in said(ald(f"ald run report x -n away --database {recorded}"))


def test_a_database_that_is_not_reached_is_said_in_one_line(ald, recorded):
    wrong = recorded.replace("only-on-loopback", "wrong")
    done = ald(f"ald run report a --database {wrong}")
    assert done.returncode == 1
    assert "password authentication failed" in said(done)
    assert "wrong" not in said(done).replace("correct", "")


def test_a_database_that_no_logger_has_seen_is_said(ald, database):
    assert "holds no history yet" in said(ald(f"ald run report a --database {database}"))


@pytest.mark.usefixtures("recorded")
def test_without_a_database_the_loggers_pod_is_asked(logger_pod):
    done = logger_pod("ald run report al2o3-demo-0001 -n lab --summary")
    assert "Outcome   Completed after 4.0 s" in done.stdout
    (call,) = [c for c in logger_pod.asked if "exec" in c]
    assert call[:6] == [
        *("--namespace", "operators", "exec", "deploy/ald-logger"),
        *("--container", "logger"),
    ]


@pytest.mark.usefixtures("recorded")
def test_the_namespace_of_the_context_and_a_named_operator_do(logger_pod):
    done = logger_pod("ald run report al2o3-demo-0001 --operator-namespace ops --csv pulses")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 4
    assert [c[:2] for c in logger_pod.asked if "exec" in c] == [["--namespace", "ops"]]


@pytest.mark.usefixtures("recorded")
def test_a_reader_that_has_enough_is_no_failure(logger_pod):
    # kubectl ends by the signal that a closed pipe sends.
    logger_pod.pods["ald-logger"]["PATH"] = str(logger_pod.directory)
    (logger_pod.directory / "ald").write_text("#!/bin/sh\nkill -PIPE $$\n")
    (logger_pod.directory / "ald").chmod(0o755)
    program = Path(sys.executable).with_name("ald")
    done = logger_pod(f"{program} run report al2o3-demo-0001 -n lab --csv pulses")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("recorded")
def test_an_unknown_run_is_named_through_the_pod_as_well(logger_pod):
    logger_pod.answers["get reciperuns.ald.dev"] = ""
    done = logger_pod("ald run report nothing -n lab")
    assert done.returncode == 1
    assert "the last ones there are al2o3-demo-0001" in said(done)


async def test_a_run_that_has_just_ended_is_waited_for(logger_pod, database):
    feed = Feed("feed-1")
    feed.load(PLANT)
    recorded_run.begin(feed)
    recorded_run.cycle(feed, 1)
    await recorded_run.write(database, feed)
    asking = asyncio.create_task(
        asyncio.to_thread(logger_pod, "ald run report al2o3-demo-0001 -n lab --summary")
    )
    # Kubernetes knows of the end; the history learns of it while the report waits.
    async with asyncio.timeout(30):
        while not any("reciperuns.ald.dev" in call for call in logger_pod.asked):  # noqa: ASYNC110 -- another process says it, by a file
            await asyncio.sleep(0.05)
    recorded_run.end(feed)
    await recorded_run.write(database, feed)
    assert "Outcome   Completed" in (await asking).stdout
