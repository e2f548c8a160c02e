"""What a replay says, and where it is asked."""

import json
from unittest import mock

import pytest

from ald.cli import kubectl
from ald.cli.replay import Outcome, decoded, replay, sentence
from ald.errors import CorruptRecordError, PeerError
from ald.records.event import ClockStepped, encode_event
from ald.wire import FeedRecord

FOUND = Outcome(uid="u-1", events=12, inputs=34, outcome="Completed", message="all done")
RUN = {"metadata": {"uid": "u-1"}, "spec": {"machineRef": {"name": "reactor"}, "recipeRef": {}}}
ANSWER = {"uid": "u-1", "events": 12, "inputs": 34, "outcome": "", "message": ""}


def test_a_run_that_has_ended_replays_to_its_end():
    assert sentence(FOUND) == (
        "run u-1 replays to its end, Completed: 12 events are what 34 inputs give"
    )


def test_a_run_that_is_on_replays_as_far_as_it_has_come():
    found = Outcome(uid="u-1", events=1, inputs=1, outcome="", message="")
    assert "as far as it has come" in sentence(found)


def test_a_record_that_cannot_be_read_is_named_by_its_position():
    event = ClockStepped(at_ns=1, wall_ns=2, step_ns=3)
    good = FeedRecord(position=5, session="s", kind="event", body=encode_event(event))
    assert decoded(good).what == event
    for kind in ("event", "scan"):
        bad = FeedRecord(position=6, session="s", kind=kind, body=b"x")
        with pytest.raises(CorruptRecordError, match="position 6"):
            decoded(bad)


def test_it_is_asked_inside_the_pod_of_the_machine_that_the_run_names(capsys):
    answers = [json.dumps(RUN), json.dumps(ANSWER)]
    with mock.patch.object(kubectl, "ask", side_effect=answers) as ask:
        replay("deposit-1", namespace="lab")
    first, second = (call.args[0] for call in ask.call_args_list)
    assert first[:5] == ("--namespace", "lab", "get", "reciperuns.ald.dev", "deposit-1")
    assert "deploy/reactor-gateway" in second
    command = ("ald", "run", "replay", "u-1", "--local", "--machine", "reactor", "-o", "json")
    assert second[-len(command) :] == command
    assert "run u-1 replays" in capsys.readouterr().out


def test_an_answer_of_another_version_is_said_so():
    with (
        mock.patch.object(kubectl, "ask", return_value="{}"),
        pytest.raises(PeerError, match="another version"),
    ):
        replay("deposit-1")
