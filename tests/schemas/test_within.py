"""What is within bounds is what has no violations."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.shape import shape_of, violations
from schemas.within import within
from tests.schemas import records
from tests.schemas.records import NAMES, RECORDS

FEW = settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@FEW
def test_it_says_what_the_violations_say(name: str, data: st.DataObject) -> None:
    """Of a good record, and of one that has one field of any value: one fault must be enough to be found."""
    shape = shape_of(RECORDS[name].schema)
    good, other = data.draw(records.within(shape)), data.draw(records.anything(shape))
    field = data.draw(st.sampled_from([part.name for part in shape.fields]))
    for values in (good, good | {field: other[field]}):
        assert within(shape)(values) == (not any(violations(shape, values, "")))
