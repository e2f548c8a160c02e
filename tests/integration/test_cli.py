"""`ald` as people call it; only kubectl is played, by running `exec` on this machine."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from ald.api.parse import parse_machine
from fixtures.front import OWNER
from fixtures.program import said, scanned

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples/machines"
GROUPS = ("", "machine", "recipe", "run")
COMMANDS = (
    "version",
    "stop",
    "machine from-csv",
    "machine probe",
    "machine values",
    "recipe check",
    "run report",
)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_lists_its_commands(ald, group):
    done = ald(f"ald {group} --help")
    assert done.returncode == 0
    wanted = [c.removeprefix(group).strip().split()[0] for c in COMMANDS if c.startswith(group)]
    assert [c for c in wanted if c not in done.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_in_its_help(ald, command):
    done = ald(f"ald {command} --help")
    assert done.returncode == 0
    _, _, example = done.stdout.partition("Example:\n")
    assert f"ald {command}" in example


def test_what_is_not_understood_ends_with_2(ald):
    assert ald("ald machine paint").returncode == 2
    assert ald("ald run report").returncode == 2


def test_it_is_also_a_plugin_of_kubectl(ald):
    assert ald("kubectl-ald version").stdout == ald("ald version").stdout


CHECK = f"ald recipe check {ROOT}/examples/recipes/al2o3-demo.yaml --machine {EXAMPLES}/demo-reactor.yaml"


def test_a_recipe_is_checked_without_a_cluster_and_the_proof_is_shown(ald):
    done = ald(f"{CHECK} --input cycles=500")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("al2o3-demo on demo-reactor: accepted, 2,006 steps, 5m")
    assert re.search(r"precursors +tma, water.* +\w+ of N2 >= .* +300ms +deposit/", done.stdout)
    assert done.stdout.endswith("openings: tma 500, water 500\n")
    found = json.loads(ald(f"{CHECK} -o json").stdout)
    assert [row["group"] for row in found["proof"]] == ["precursors"]
    assert not ald.asked, "nobody asks the cluster"


def test_a_recipe_that_the_operator_would_refuse_is_refused_with_its_paths(ald, tmp_path):
    done = ald(f"{CHECK} --input cycles=0")
    assert done.returncode == 1
    assert "spec.inputs.cycles" in said(done)
    document = yaml.safe_load((ROOT / "examples/recipes/al2o3-demo.yaml").read_text())
    document["spec"]["steps"][4]["loop"]["steps"].pop(1)
    faulty = tmp_path / "faulty.yaml"
    faulty.write_text(yaml.safe_dump(document))
    done = ald(f"ald recipe check {faulty} --machine {EXAMPLES}/demo-reactor.yaml")
    assert done.returncode == 1
    assert "add a purge" in done.stderr
    assert "spec.steps[4].loop.steps[1]" in done.stderr
    done = ald(
        f"ald recipe check {EXAMPLES}/demo-reactor.yaml --machine {EXAMPLES}/demo-reactor.yaml"
    )
    assert "one Recipe is expected in the file" in said(done)
    assert ald(f"{CHECK} --input cycles").returncode == 2


def test_a_recipe_is_checked_from_a_cycle_on(ald):
    done = ald(f"{CHECK} --start-at deposit=38")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("openings: tma 63, water 63\n")
    assert re.search(r"restore: deposit/purge-water +purge", done.stdout)
    laminate = f"ald recipe check {ROOT}/examples/recipes/laminate.yaml --machine {EXAMPLES}/demo-reactor.yaml"
    found = json.loads(ald(f"{laminate} --start-at pair/second=5/6 -o json").stdout)
    assert found["openings"] == {"tma": 0, "water": 1, "spare": 2}
    done = ald(f"{CHECK} --start-at deposit=101")
    assert done.returncode == 1
    assert "spec.startAt.cycle" in said(done)
    for wrong in ("deposit", "deposit=", "deposit=x", "=3", "deposit=3//4"):
        assert ald(f"{CHECK} --start-at {wrong}").returncode == 2


def test_a_register_map_becomes_a_machine(ald):
    mapping = EXAMPLES / "reactor-1.mapping.yaml"
    done = ald(f"ald machine from-csv {EXAMPLES}/reactor-map.csv --mapping {mapping}")
    assert done.returncode == 0
    assert done.stdout == (EXAMPLES / "reactor-1.yaml").read_text()
    assert "dropped, has no address" in done.stderr


def test_name_and_host_of_the_command_line_win(ald):
    done = ald(f"ald machine from-csv {EXAMPLES}/reactor-map.csv --name other --host 10.0.0.9")
    machine = parse_machine(yaml.safe_load(done.stdout))
    assert (machine.metadata.name, machine.spec.plc.host) == ("other", "10.0.0.9")


def test_a_file_that_is_no_register_map_is_refused_in_one_line(ald, tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    done = ald(f"ald machine from-csv {tmp_path}/a.csv")
    assert done.returncode == 1
    assert "has no column component" in said(done)
    assert "No such file" in said(ald("ald machine from-csv nowhere.csv"))


def test_values_are_read_inside_the_gateways_pod(ald, gateway):
    scanned(ald, gateway)
    done = ald(f"ald machine values {OWNER.name} -n lab")
    assert f"{OWNER.name}: Idle, connected" in done.stdout
    assert re.search(r"heater\.temperature +25\.5 +good +\d", done.stdout)
    assert re.search(r"gauge\.pressure +- +bad", done.stdout)
    assert ald.asked[-1][:6] == [
        *("--namespace", "lab", "exec", f"deploy/{OWNER.name}-gateway"),
        *("--container", "front"),
    ]
    document = json.loads(ald(f"ald machine values {OWNER.name} -n lab -o json").stdout)
    assert (document["state"], document["connected"], document["sequence"]) == ("Idle", True, 1)
    first = document["values"][0]
    assert (first["name"], first["value"], first["quality"]) == ("heater.temperature", 25.5, "good")


def test_a_gateway_that_has_read_nothing_says_so(ald, gateway):
    done = ald(f"ald machine values {OWNER.name} -n lab")
    assert done.returncode == 1
    assert "has no values yet" in said(done)


def test_a_machine_without_a_gateway_is_named(ald):
    done = ald("ald machine values nowhere -n lab")
    assert done.returncode == 1
    assert "machine nowhere" in said(done)
    assert "NotFound" in said(done)


def test_the_gateway_of_another_machine_is_not_believed(ald, gateway):
    environ = ald.pods[f"{OWNER.name}-gateway"] | {"ALD_NAMESPACE": "elsewhere"}
    done = ald(f"ald machine values {OWNER.name} --local", **environ)
    assert done.returncode == 1
    assert "expected ald://test/gateway/elsewhere/" in said(done)


def test_without_kubectl_it_says_what_is_missing(ald, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    binary = Path(sys.executable).with_name("ald")
    done = ald(f"{binary} machine values a -n b", PATH=str(empty))
    assert done.returncode == 1
    assert "kubectl cannot be started" in said(done)


LINES = [
    line
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "docs/cli.md").read_text(), re.DOTALL)
    for line in block.splitlines()
    if not line.startswith("ald run replay")
]
"""Without the one that needs a whole run in a gateway: e2e/test_record.py calls it on the cluster."""


def test_the_page_has_examples_of_every_command():
    assert [c for c in COMMANDS if not any(f"ald {c}" in line for line in LINES)] == []


@pytest.mark.usefixtures("recorded")
def test_every_example_of_the_page_does_what_it_says(ald, logger_pod, gateway, start_simulator):
    simulator = start_simulator(EXAMPLES / "demo-reactor.yaml")
    scanned(ald, gateway)
    here = {
        "1502": str(simulator.port),
        "demo-reactor-gateway": f"{OWNER.name}-gateway",
        "values demo-reactor": f"values {OWNER.name}",
        "-n ald": "-n lab",
    }
    for line in LINES:
        called = line
        for page, test in here.items():
            called = called.replace(page, test)
        done = logger_pod(called)
        assert done.returncode == 0, (called, done.stderr)
        assert done.stdout, called
