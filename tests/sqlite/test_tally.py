"""Texts screened many at a time count as they do when each is looked at."""

from __future__ import annotations

import collections

from hypothesis import example, given
from hypothesis import strategies as st

from sdetl_engine.sqlite.tally import MOST_KEPT, SEPARATOR, TextTally

TELLING = st.sampled_from(
    ["", "", "0", "00", "007", "42", "-5", "+1", " ", " a", "a ", "\ta", "?", "N/A", "é", "\xa0x", "12a"]
)
TEXTS = st.lists(st.one_of(TELLING, st.text(st.characters(codec="utf-8", exclude_characters=SEPARATOR))), min_size=1)
MANY = [f"word {n}" for n in range(MOST_KEPT + 1)]


def counts(tally: TextTally) -> dict[str, object]:
    return {name: value for name, value in vars(tally).items() if name not in ("distinct", "truths", "_fits")}


@given(TEXTS)
@example(["", "", "", "a", "", ""])
@example(["0", "0", "01", ""])
@example(["0" * 18, "0000-00-00 00:00:00"])
def test_screened_texts_count_as_each_of_them(texts: list[str]) -> None:
    screened, each = TextTally(), TextTally()
    for tally in (screened, each):
        tally.add_each(collections.Counter(MANY))
    assert screened.distinct is None
    joined = SEPARATOR.join(texts).encode()
    screened.add_joined(joined, min(map(len, texts)), max(map(len, texts)))
    screened.add_joined(joined)
    each.add_each(collections.Counter(texts * 2))
    assert counts(screened) == counts(each)
