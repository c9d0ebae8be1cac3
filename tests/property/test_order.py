"""The order of rows by several columns is that of tuples, however far their numbers lie apart."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analytics.mirror.codes import order_of

NUMBERS = st.integers(-3, 3) | st.integers(-(2**31), 2**31 - 1)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[NUMBERS] * n), min_size=1)))
def test_rows_in_order_are_tuples_in_order(rows: list[tuple[int, ...]]) -> None:
    columns = [np.array(column, np.int32) for column in zip(*rows, strict=True)]
    assert [rows[at] for at in order_of(columns).tolist()] == sorted(rows)
