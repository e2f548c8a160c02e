import msgspec

from ald.store.widths import Pulse, widths


def pulse(ordinal, error_ns, *, whole=True):
    return Pulse(
        ordinal=ordinal,
        step="tma",
        valve="tma",
        iterations=(),
        opened=None,
        open_ns=40_000_000,
        error_ns=error_ns,
        uncertainty_ns=0,
        outcome="Confirmed",
        whole=whole,
    )


def test_width_errors_are_absolute_and_of_whole_pulses_only():
    found = widths((pulse(1, 10), pulse(2, -30), pulse(3, 20), pulse(4, -9_000, whole=False)))
    assert (found.count, found.whole) == (4, 3)
    assert (found.p50_ns, found.p99_ns, found.max_ns) == (20, 30, 30)
    assert found.worst is not None
    assert found.worst.ordinal == 2


def test_percentiles_are_the_nearest_rank():
    found = widths(tuple(pulse(n, n) for n in range(1, 201)))
    assert (found.p50_ns, found.p99_ns, found.max_ns) == (100, 198, 200)
    assert widths((pulse(1, 7),)).p50_ns == 7


def test_without_a_whole_pulse_there_is_no_error():
    found = widths((pulse(1, None, whole=False),))
    assert (found.count, found.whole, found.max_ns, found.worst) == (1, 0, 0, None)
    assert widths(()).count == 0


def test_pulses_that_the_plc_timed_are_whole_and_have_no_error():
    timed = msgspec.structs.replace(pulse(1, None), by_plc=True, uncertainty_ns=2_000_000)
    cut = msgspec.structs.replace(timed, ordinal=3, whole=False, uncertainty_ns=9_000_000)
    found = widths((timed, pulse(2, 20), cut))
    assert (found.count, found.whole, found.by_plc, found.plc_uncertainty_ns) == (
        3,
        1,
        1,
        2_000_000,
    )
    assert (found.p50_ns, found.max_ns) == (20, 20)
    alone = widths((timed,))
    assert (alone.whole, alone.by_plc, alone.worst) == (0, 1, None)
