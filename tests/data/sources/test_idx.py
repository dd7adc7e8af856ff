"""IDX files: what is written is read, and whatever is damaged is refused."""

import gzip

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from idx_files import IMAGES, IN_ONE_FOLDER, idx_bytes
from partitions_alike import failure

from demjax.data import read_idx


@IN_ONE_FOLDER
@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
    zipped=st.booleans(),
)
def test_what_is_written_is_read(tmp_path, shape, seed, zipped):
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "array"
    path.write_bytes(gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array))
    read = read_idx(path, dimensions=len(shape))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)


@IN_ONE_FOLDER
@given(data=st.data(), zipped=st.booleans())
def test_a_file_cut_anywhere_is_refused(tmp_path, data, zipped):
    whole = gzip.compress(idx_bytes(IMAGES)) if zipped else idx_bytes(IMAGES)
    path = tmp_path / "cut"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    failure(lambda: read_idx(path, dimensions=3), path)


@IN_ONE_FOLDER
@given(data=st.data(), flip=st.integers(1, 255))
def test_a_changed_byte_of_a_gzip_file_never_changes_what_is_read(tmp_path, data, flip):
    whole = bytearray(gzip.compress(idx_bytes(IMAGES)))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= flip
    path = tmp_path / "changed"
    path.write_bytes(whole)
    try:
        read = read_idx(path, dimensions=3)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017 (some bytes, as the time, mean nothing)
    else:
        np.testing.assert_array_equal(read, IMAGES)


@IN_ONE_FOLDER
@given(place=st.integers(0, 15), flip=st.integers(1, 255))
def test_a_changed_byte_of_a_plain_header_is_refused(tmp_path, place, flip):
    whole = bytearray(idx_bytes(IMAGES))
    whole[place] ^= flip
    path = tmp_path / "changed"
    path.write_bytes(whole)
    failure(lambda: read_idx(path, dimensions=3), path)


def test_a_header_that_promises_more_than_a_file_can_hold_is_refused_unread(tmp_path):
    head = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (2**20, 1000, 1000))
    for content in (head + bytes(99), gzip.compress(head + bytes(99))):
        (tmp_path / "huge").write_bytes(content)
        failure(
            lambda: read_idx(tmp_path / "huge", dimensions=3),
            f"huge has {len(content)} bytes",
            "takes 1048576000000",
        )


def test_what_stands_behind_the_array_is_refused(tmp_path):
    for zipped in (False, True):
        content = idx_bytes(IMAGES) + b"more"
        (tmp_path / "more").write_bytes(gzip.compress(content) if zipped else content)
        failure(lambda: read_idx(tmp_path / "more", dimensions=3), "holds more than 84 bytes")
