import msgspec
import pytest

from ald.simulator.faults import FaultOrder, Faults


def test_what_an_order_leaves_out_stays():
    faults = FaultOrder(delay_ms=20, drop=True).applied_to(Faults(freeze=True))
    assert faults == Faults(delay_ms=20, freeze=True)


def test_a_fault_can_be_taken_back():
    assert (
        FaultOrder(delay_ms=0, freeze=False).applied_to(Faults(delay_ms=5, freeze=True)) == Faults()
    )


@pytest.mark.parametrize("body", [b'{"delay":1}', b'{"delay_ms":-1}', b'{"freeze":"yes"}'])
def test_an_order_that_means_nothing_is_refused(body):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=FaultOrder)
