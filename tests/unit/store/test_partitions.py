import datetime

from ald.store.partitions import DAYS_AHEAD, name, wanted

TODAY = datetime.date(2024, 2, 28)


def test_days_from_yesterday_to_a_week_ahead_are_wanted_without_a_hole():
    days = wanted(TODAY)
    assert days[0] == datetime.date(2024, 2, 27)
    assert days[-1] == TODAY + datetime.timedelta(days=DAYS_AHEAD)
    assert len(days) == DAYS_AHEAD + 2
    assert datetime.date(2024, 2, 29) in days


def test_a_partition_is_named_after_its_day():
    assert name("scans", TODAY) == "scans_20240228"
