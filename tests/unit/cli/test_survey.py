import pytest

from ald.cli.survey import Survey, halves, read_of, reads_of
from ald.plant.model import Table
from ald.plc.request import ReadBits, ReadRegisters

HOLDING = Table.HOLDING


def surveyed(reads, answers, requests_max=500):
    """Return a survey of a PLC, and what it was asked; `answers(read)` is None or (why, code)."""
    survey = Survey(reads, requests_max)
    asked = []
    while (read := survey.next_read()) is not None:
        asked.append(read)
        refusal = answers(read)
        if refusal is None:
            survey.is_answered(read)
        else:
            survey.is_refused(read, *refusal)
    return survey, asked


def only(*addresses):
    """Answer where every address is one of these."""

    def answer(read):
        span = range(read.address, read.address + read.count)
        return None if set(span) <= set(addresses) else ("no such address", 2)

    return answer


def spans(reads):
    return [(r.address, r.count) for r in reads]


def test_what_answers_as_a_whole_is_asked_once():
    survey, asked = surveyed((read_of(HOLDING, 0, 20),), only(*range(20)))
    assert spans(survey.answered) == [(0, 20)]
    assert survey.refused == ()
    assert len(asked) == 1


def test_a_refused_block_is_halved_down_to_the_addresses_that_answer():
    survey, asked = surveyed((read_of(HOLDING, 0, 16),), only(4, 5, 6, 7, 12))
    assert {a + n for a, c in spans(survey.answered) for n in range(c)} == {4, 5, 6, 7, 12}
    assert [(r.first, r.count) for r in survey.refused] == [(0, 4), (8, 4), (13, 3)]
    assert len(asked) <= 2 * 16 - 1


def test_a_plc_with_short_requests_answers_piece_by_piece():
    survey, _ = surveyed(
        (read_of(HOLDING, 0, 100),), lambda r: ("too many", 3) if r.count > 32 else None
    )
    assert sum(c for _, c in spans(survey.answered)) == 100
    assert all(c <= 32 for _, c in spans(survey.answered))


def test_other_refusals_are_not_asked_again():
    survey, asked = surveyed((read_of(HOLDING, 0, 16),), lambda _: ("busy", 6))
    assert len(asked) == 1
    assert survey.refused[0].why == "busy"


def test_an_unknown_function_ends_its_table_and_no_other():
    reads = reads_of((HOLDING, Table.COIL), 0, 300)
    survey, asked = surveyed(reads, lambda r: ("unknown", 1) if r.table is HOLDING else None)
    assert [r.table for r in asked] == [HOLDING, Table.COIL]
    (refused,) = survey.refused
    assert (refused.first, refused.count) == (0, 300)


def test_a_survey_ends_by_itself_and_names_what_it_did_not_ask():
    survey, asked = surveyed((read_of(HOLDING, 0, 64),), only(), requests_max=10)
    assert len(asked) == 10
    assert sum(r.count for r in survey.refused) == 64
    assert survey.refused[-1].why == "not asked: too many refusals"


def test_spans_are_cut_at_even_places_as_long_as_the_standard_allows():
    assert spans(reads_of((HOLDING,), 10, 250)) == [(10, 124), (134, 124), (258, 2)]
    assert spans(reads_of((Table.DISCRETE,), 0, 2000)) == [(0, 2000)]
    assert isinstance(reads_of((Table.COIL,), 0, 1)[0], ReadBits)
    assert isinstance(reads_of((Table.INPUT,), 0, 1)[0], ReadRegisters)


@pytest.mark.parametrize("count", range(2, 40))
def test_halves_cover_a_block_and_keep_pairs_together(count):
    first, second = halves(read_of(HOLDING, 100, count))
    assert first.address == 100
    assert second.address == 100 + first.count
    assert first.count + second.count == count
    assert count <= 2 or first.count % 2 == 0


def test_a_single_address_has_no_halves():
    assert halves(read_of(HOLDING, 5, 1)) == ()
