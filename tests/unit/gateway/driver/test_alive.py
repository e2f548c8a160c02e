"""Signs of life."""

import os
from unittest import mock

from ald.gateway.driver import alive

NOW = 50_000_000_000


def test_a_fresh_stamp_is_life(tmp_path):
    alive.stamp(tmp_path / "a", NOW)
    assert alive.is_turning(tmp_path / "a", NOW + alive.STUCK_NS - 1)


def test_an_old_stamp_or_one_of_another_boot_is_none(tmp_path):
    alive.stamp(tmp_path / "a", NOW)
    assert not alive.is_turning(tmp_path / "a", NOW + alive.STUCK_NS)
    assert not alive.is_turning(tmp_path / "a", NOW - alive.STUCK_NS)


def test_a_stamp_made_after_the_look_at_the_clock_is_life(tmp_path):
    alive.stamp(tmp_path / "a", NOW)
    assert alive.is_turning(tmp_path / "a", NOW - 1)


def test_no_stamp_or_half_a_stamp_is_none(tmp_path):
    assert not alive.is_turning(tmp_path / "a", NOW)
    (tmp_path / "a").write_bytes(b"")
    assert not alive.is_turning(tmp_path / "a", NOW)


def test_a_stamp_is_replaced_in_place_so_that_no_moment_and_no_full_volume_looks_like_death(
    tmp_path,
):
    alive.stamp(tmp_path / "a", NOW)
    held = (tmp_path / "a").open("rb")
    seen = []
    real = os.pwrite

    def watched(*given):
        seen.append(held.read())
        return real(*given)

    with mock.patch.object(os, "pwrite", watched):
        alive.stamp(tmp_path / "a", NOW + 1)
    held.close()
    assert seen == [b"%020d\n" % NOW]
    assert alive.is_turning(tmp_path / "a", NOW + 1)


def test_a_stamp_that_cannot_be_left_is_missing_and_ends_nobody(tmp_path):
    (tmp_path / "a").mkdir()
    alive.stamp(tmp_path / "a", NOW)
