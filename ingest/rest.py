"""The columns that an event doesn't have, folded into its properties as JSON.

A member is named as its column. Null, and a cell that is empty, make no member. What the properties
themselves say counts more: they come behind, and of a name given twice the last is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from ingest.json_texts import as_json

_OPEN: Final = r"^\s*\{"
_EMPTY: Final = r"^\s*(?:\{\s*\}\s*)?$"


def fold(properties: pa.StringArray | None, others: Mapping[str, pa.Array]) -> pa.StringArray:
    """Properties as JSON texts, of one length with the other columns, which are at least one.

    Where the given properties are no object, they stay as they are, to be refused as such.
    """
    # Each with a comma before it, the first of which is cut off again: of a single column Arrow's
    # `null_handling="skip"` leaves out the rows that are null.
    members = [
        pc.binary_join_element_wise(
            f",{json.dumps(name, ensure_ascii=False)}:", as_json(column), ""
        )
        for name, column in others.items()
    ]
    joined = pc.binary_join_element_wise(*members, "", null_handling="replace")
    joined = pc.utf8_slice_codeunits(joined, 1)
    folded = pc.binary_join_element_wise("{", joined, "}", "")
    if properties is None:
        return folded
    has_none = pc.match_substring_regex(properties, _EMPTY)
    merged = pc.replace_substring_regex(properties, _OPEN, "", max_replacements=1)
    merged = pc.binary_join_element_wise("{", joined, ",", merged, "")
    stays = pc.or_(pc.equal(joined, ""), pc.invert(pc.match_substring_regex(properties, _OPEN)))
    kept = pc.if_else(stays, properties, merged)
    return pc.if_else(has_none, folded, kept)
