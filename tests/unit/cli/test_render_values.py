import datetime

from ald.cli.render_values import MachineValues, values_page
from ald.wire import SignalValue
from unit.cli.pages import printed


def found(*values, connected=True, state="Idle"):
    return MachineValues(
        machine="reactor-1",
        state=state,
        message="",
        connected=connected,
        link="cannot connect to plc port 502",
        sequence=12 if values else 0,
        scanned=datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC) if values else None,
        values=values,
    )


def value(name, number, quality="good", unit="°C"):
    return SignalValue(name=name, value=number, unit=unit, quality=quality, age_ms=120.0)


def test_each_value_has_unit_quality_and_age():
    lines = printed(
        values_page(found(value("heater.temperature", 25.5), value("a.b", None, "bad")))
    )
    assert lines == [
        "reactor-1: Idle, connected",
        "scan 12 of 2025-01-01 00:00:00 UTC",
        "",
        "parameter           value  unit  quality     age",
        "heater.temperature   25.5  °C    good     120 ms",
        "a.b                     -  °C    bad      120 ms",
    ]


def test_a_lost_connection_is_said_first():
    lines = printed(values_page(found(value("a.b", 1.0, "stale"), connected=False)))
    assert lines[0] == "reactor-1: Idle, NOT connected: cannot connect to plc port 502"


def test_without_a_scan_there_is_no_table():
    assert printed(values_page(found(state="Stopped"))) == ["reactor-1: Stopped, connected"]
