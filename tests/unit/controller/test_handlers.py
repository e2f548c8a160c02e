"""What kopf is told; that it works with a real API server is for the integration tests."""

import logging

import kopf

from ald.controller.handlers import KopfAnnouncer, configure, register
from ald.controller.health import SelfCheck
from ald.controller.supervisor import Supervisor
from unit.controller import situations as s
from unit.controller.operators import MACHINE_KEY, Bench


def registry():
    bench = Bench()
    check = SelfCheck(bench.cluster, MACHINE_KEY, bench.clock, bench.metrics)
    return register(Supervisor(bench.parts), check, KopfAnnouncer())


def test_kopf_keeps_no_state_on_anybodys_objects():
    found = registry()
    assert found._changing.get_all_handlers() == []
    assert found._spawning.get_all_handlers() == []
    assert len(found._indexing.get_all_handlers()) == 4
    assert len(found._watching.get_all_handlers()) == 6


def test_an_event_before_the_first_handler_is_dropped_not_an_error():
    KopfAnnouncer().post(s.RUN, warning=True, reason="Aborted", message="x")


def test_every_wait_of_kopf_is_bounded():
    settings = kopf.OperatorSettings()
    configure(settings)
    assert settings.peering.standalone
    assert not logging.getLogger("kopf.objects").isEnabledFor(logging.INFO)
    assert settings.networking.request_timeout == 15
    assert settings.watching.client_timeout == 310
    assert max(settings.queueing.error_delays) <= 10
    assert settings.posting.reporting_component == "ald-operator"
