from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hashrec.service.answers.envelope import FALLBACKS, SOURCES, Content, unwrap, wrap

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
DIGEST, OTHER_DIGEST = b"d" * 16, b"e" * 16

contents = st.builds(
    Content, st.sampled_from(SOURCES), st.sampled_from(FALLBACKS), st.binary(min_size=1)
)


@given(contents)
def test_what_was_wrapped_comes_out(content: Content):
    value = wrap(content, DIGEST, KEY)
    assert unwrap(value, DIGEST, KEY, trusted=False) == content
    assert unwrap(value, DIGEST, KEY, trusted=True) == content


@given(contents, st.integers(0, 7), st.data())
def test_no_flipped_bit_goes_unseen(content: Content, bit: int, data: st.DataObject):
    value = bytearray(wrap(content, DIGEST, KEY))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << bit
    assert unwrap(bytes(value), DIGEST, KEY, trusted=False) is None


@given(contents, st.data())
def test_no_cut_and_no_addition_goes_unseen(content: Content, data: st.DataObject):
    value = wrap(content, DIGEST, KEY)
    cut = data.draw(st.integers(0, len(value) - 1))
    assert unwrap(value[:cut], DIGEST, KEY, trusted=False) is None
    assert unwrap(value + b"x", DIGEST, KEY, trusted=False) is None


@given(contents)
def test_another_requests_or_models_value_does_not_fit(content: Content):
    value = wrap(content, DIGEST, KEY)
    for trusted in (False, True):
        assert unwrap(value, OTHER_DIGEST, KEY, trusted=trusted) is None
    assert unwrap(value, DIGEST, OTHER_KEY, trusted=False) is None


@given(st.binary())
def test_garbage_is_nothing(value: bytes):
    assert unwrap(value, DIGEST, KEY, trusted=False) is None
    assert unwrap(value, DIGEST, KEY, trusted=True) is None
