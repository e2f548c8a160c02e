from ald.cli.orders import Candidate, Verdict
from ald.cli.render_probe import Block, Probe, probe_page, verdict_lines
from ald.cli.survey import Refused
from ald.plant.model import DataType, Order, Table
from unit.cli.pages import printed

HEATER = Candidate(
    name="heater.temperature",
    table=Table.INPUT,
    address=10,
    type=DataType.FLOAT32,
    unit="°C",
    values={Order.ABCD: 1e-30, Order.CDAB: 25.5, Order.BADC: None, Order.DCBA: -3.0},
    declared=Order.CDAB,
    minimum=1.0,
    maximum=100.0,
)


def bit(address, value):
    return Candidate(
        name="",
        table=Table.COIL,
        address=address,
        type=DataType.BOOL,
        unit="",
        values={Order.ABCD: value},
    )


def probe(*candidates, verdicts=()):
    return Probe(
        host="plc",
        port=502,
        unit=1,
        connect_ns=1_500_000,
        blocks=(Block(table=Table.INPUT, first=10, count=2, times_ns=(3_000_000, 1_000_000)),),
        refused=(Refused(table=Table.HOLDING, first=7, count=1, why="no such address"),),
        candidates=candidates,
        verdicts=verdicts,
    )


def test_a_page_shows_blocks_with_round_trips_and_refusals():
    lines = printed(probe_page(probe()))
    assert lines[0] == "PLC plc port 502 unit 1: connected in 1.500 ms; nothing was written"
    assert "input    10 to 11    1.000      2.000   3.000  values" in lines
    assert "holding  7                                     no such address" in lines


def test_a_value_is_shown_in_all_orders_the_declared_one_marked():
    lines = printed(probe_page(probe(HEATER)))
    (row,) = [line for line in lines if line.startswith("heater")]
    assert row.split() == [
        *("heater.temperature", "input", "10", "float32"),
        *("1e-30", "*25.5", "-", "-3", "°C", "CDAB"),
    ]


def test_bits_without_names_stand_in_rows():
    lines = printed(probe_page(probe(*(bit(n, n % 2) for n in range(10)), bit(20, 1))))
    assert "coil      0  01010101 01" in lines
    assert "coil     20  1" in lines


def test_a_verdict_says_how_many_values_an_order_explains():
    best = Verdict(order=Order.CDAB, fitting=5, declared=6, telling=6)
    other = Verdict(order=Order.ABCD, fitting=1, declared=0, telling=6)
    assert verdict_lines((best, other)) == (
        "CDAB: 5 of 6 values within their limits, declared for 6",
        "ABCD: 1 of 6 values within their limits",
    )
    assert "cannot be told" in verdict_lines(())[0]
