"""Runs for a driver without an operator: programs made by hand."""

from ald.program import model as program
from ald.records.event import MachineState
from fixtures.driver_process import plant_of
from fixtures.wait import eventually

MS = 1_000_000


def valve(name, open_ms):
    return program.Pulse(path="p", name=name, valve=name, open_ns=open_ms * MS)


def purge(ms, flow=20.0):
    return program.Purge(path="p", name="purge", gas="N2", flow=flow, duration_ns=ms * MS)


def flow(value):
    return program.Set(path="p", name="flow", gas="N2", value=value)


def looped(count, *body):
    """The flow, a purge, and `count` times the body."""
    begin = 2
    return (
        flow(20.0),
        purge(500),
        program.Loop(path="p", name="loop", count=count, depth=0, end=begin + len(body) + 1),
        *body,
        program.EndLoop(begin=begin),
    )


CYCLE = (valve("tma", 40), purge(300), valve("water", 25), purge(300))
LONG = (valve("tma", 400), purge(300), valve("water", 400), purge(300))


def idle_bench(simulator, start_driver):
    """Return a driver that is Idle on this simulator, the simulator, and the plant."""
    driver = start_driver()
    plant = plant_of(simulator.machine_file, simulator.port)
    assert driver.load(plant).error is None
    idle(driver)
    simulator.reset_trace()
    return driver, simulator, plant


def idle(driver):
    driver.reaches(MachineState.IDLE)
    eventually(lambda: driver.status().watchdog and driver.status().scan.sequence > 0, within_s=10)
