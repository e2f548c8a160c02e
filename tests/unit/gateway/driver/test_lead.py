"""Aiming at the closing edge."""

from msgspec.structs import replace

from ald.gateway.driver.lead import LEAD_NS_MAX, Lead
from ald.records.event import PulseDone, WriteOutcome
from unit.engine.programs import MS, flow, purge, valve
from unit.engine.world import World


def pulse():
    world = World().ready().start(flow(20.0), purge(300), valve("tma", 40))
    world.run_until_ended()
    return world.events(PulseDone)[0]


def opened():
    world = World().ready().start(flow(20.0), purge(300), valve("tma", 400))
    return world.run_for(500 * MS).state


def test_it_learns_the_steady_cost_of_the_way():
    lead, done = Lead(), pulse()
    for _ in range(100):
        missed = 100_000 - lead.ns(opened())
        lead.learn(replace(done, error_ns=missed))
    assert abs(lead.ns(opened()) - 100_000) < 1000


def test_accidents_and_pulses_cut_short_teach_nothing():
    lead, done = Lead(), pulse()
    lead.learn(replace(done, error_ns=LEAD_NS_MAX + 1))
    lead.learn(replace(done, error_ns=100_000, outcome=WriteOutcome.UNKNOWN))
    assert lead.ns(opened()) == 0


def test_only_the_closing_edge_is_begun_early():
    lead, done = Lead(), pulse()
    lead.learn(replace(done, error_ns=100_000))
    assert lead.ns(opened()) > 0
    assert lead.ns(World().ready().state) == 0
