"""Tear-down knows its own rules and bridges, and leaves those of others alone."""

import pytest

from clusterlib.leftovers import BRIDGES, RULES


@pytest.mark.parametrize(
    "rule",
    [
        "-A FORWARD -j DOCKER-USER",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
        "-A FORWARD -o ald-kind0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A POSTROUTING -s 172.18.0.0/16 ! -o br-0123456789ab -j MASQUERADE",
        "-A POSTROUTING -s 172.18.0.2/32 -d 172.18.0.2/32 -p tcp -m tcp --dport 6443 -j MASQUERADE",
    ],
)
def test_rules_of_the_engine_are_found(rule: str):
    assert RULES.search(rule)


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -i eth0 -p tcp -m tcp --dport 22 -j ACCEPT",
        "-A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE",
        "-A POSTROUTING -s 10.0.0.1/32 -d 10.0.0.2/32 -j MASQUERADE",
        "-A FORWARD -i br-lan -j ACCEPT",
    ],
)
def test_rules_of_others_are_not(rule: str):
    assert not RULES.search(rule)


def test_bridges_of_others_are_not_taken_for_ours():
    assert BRIDGES.fullmatch("br-0123456789ab")
    assert not BRIDGES.fullmatch("br-lan")
    assert not BRIDGES.fullmatch("docker01")
