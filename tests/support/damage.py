"""Files that are damaged at random: the strategies by which every reader is tried.

All begin with a small whole file. ``damaged`` knows nothing of what the bytes mean; ``json_like``,
``arrays_like`` and ``members_like`` change what they say and leave the form right.
"""

import io
import json
import re
import warnings
import zipfile

import numpy as np
from hypothesis import strategies as st

EDGES = (0, 1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64)
NUMBERS = (
    *("", "-1", "0", "0.5", "NaN", "nan", "inf", "-Infinity", "1e999", "1e18", "4294967296"),
    *("9223372036854775807", "-9223372036854775809", "9" * 40, "9" * 5000, "1_0", "٣", "0x10"),
    *("true", "null", '"1"', "[1]", "{}", "[[1]]", "[1, 2"),
)
"""What can stand in the place of a number of a text."""
PARTS = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\n", b"\r", b",", b'"', b"'", b"="),
    *(b"\n\n,,,\n", b"[", b"]", b"{", b"}", b"[[", b"../", b"x" * 200_000, b"1," * 2000),
    *(b"[" * 100_000, b'{"a":' * 20_000, b"{a=" * 2000, b"a." * 2000, b"#", b"\\u0000"),
)
"""What can be put anywhere."""
ODD = (
    *(None, True, False, -1, 0, 1, 2**31, 2**63, -(2**63), 10**18, 10**400, 0.5, -0.5, 1e308),
    *(float("nan"), float("inf"), "", "x", "1", "../../x", "/", "\0", "\ud800", "x" * 5000),
    *([], {}, [[]], [1], ["x"], [None], {"x": 1}, {"": []}, [[1], [1, 2]], [0] * 3000),
)
"""What can stand in the place of any value of JSON."""


@st.composite
def damaged(draw, content):
    """The bytes, changed in one to three places."""
    for _ in range(draw(st.integers(1, 3))):
        content = draw(st.sampled_from(WAYS))(draw, content)
    return content


def _place(draw, content):
    return draw(st.integers(0, max(0, len(content) - 1)))


def _span(draw, content):
    start = _place(draw, content)
    return start, min(len(content), start + draw(st.integers(1, 64)))


def flip(draw, content):
    """One bit or more of a byte."""
    place = _place(draw, content)
    return (
        content[:place]
        + bytes([one ^ draw(st.integers(1, 255)) for one in content[place : place + 1]])
        + content[place + 1 :]
    )


def number(draw, content):
    """A number of 1 to 8 bytes, of either order, also in the header."""
    place, size = _place(draw, content), draw(st.sampled_from([1, 2, 4, 8]))
    place = draw(st.sampled_from([place, place % 64 // 4 * 4]))
    value = draw(st.sampled_from(EDGES)) % 256**size
    order = draw(st.sampled_from(["big", "little"]))
    return content[:place] + value.to_bytes(size, order) + content[place + size :]


def cut(draw, content):
    """All behind a place."""
    return content[: _place(draw, content)]


def take_out(draw, content):
    """A part taken out."""
    start, end = _span(draw, content)
    return content[:start] + content[end:]


def repeat(draw, content):
    """A part again and again."""
    start, end = _span(draw, content)
    times = draw(st.sampled_from([2, 3, 100, 1000]))
    return content[:start] + content[start:end] * times + content[end:]


def put_in(draw, content):
    """Something that does not belong there, or a few bytes at random."""
    place = _place(draw, content)
    return content[:place] + draw(st.sampled_from(PARTS) | st.binary(max_size=16)) + content[place:]


def another_number(draw, content):
    """A number of a text, another one in its place."""
    found = [*re.finditer(rb"-?\d+(?:\.\d+)?", content[:20_000])]
    if not found:
        return flip(draw, content)
    one = draw(st.sampled_from(found))
    return content[: one.start()] + draw(st.sampled_from(NUMBERS)).encode() + content[one.end() :]


def lines(draw, content):
    """Lines of a text: one is there twice, is missing, or two change places."""
    parts = content.split(b"\n")
    one, other = (draw(st.integers(0, len(parts) - 1)) for _ in range(2))
    way = draw(st.sampled_from(["twice", "missing", "swapped"]))
    if way == "twice":
        parts.insert(other, parts[one])
    elif way == "missing":
        del parts[one]
    else:
        parts[one], parts[other] = parts[other], parts[one]
    return b"\n".join(parts)


def nothing(draw, content):
    """An empty file."""
    return b""


WAYS = (flip, number, cut, take_out, repeat, put_in, another_number, another_number, lines, nothing)


@st.composite
def json_like(draw, content):
    """JSON, of which one to three values are others, missing, or called otherwise."""
    try:
        value = json.loads(content)
    except ValueError:
        return content
    for _ in range(draw(st.integers(1, 3))):
        value = _changed(draw, value)
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _changed(draw, value):
    """The value with another one in some place of it."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 5)):
        places = [*value] if isinstance(value, dict) else [*range(len(value))]
        place = draw(st.sampled_from(places))
        inside = value.copy()
        way = draw(st.integers(0, 9))
        if way == 0:
            del inside[place]
        elif way == 1 and isinstance(inside, dict):
            inside[draw(st.sampled_from(["", "x", "0", "../x", "round", "a" * 300]))] = inside.pop(
                place
            )
        elif way == 1:
            inside.append(inside[place])
        else:
            inside[place] = _changed(draw, inside[place])
        return inside
    return draw(st.sampled_from(ODD))


TYPES = (
    "u1",
    "i1",
    "i4",
    "i8",
    "u8",
    ">i4",
    ">f8",
    "f2",
    "f4",
    "f8",
    "c8",
    "b1",
    "U3",
    "S2",
    "M8[s]",
)
VALUES = (0, 1, -1, 127, 255, 2**31, 2**62, 2**63 - 1, -(2**63), 1e300, float("nan"), float("inf"))


@st.composite
def arrays_like(draw, arrays):
    """An ``.npz`` file of arrays, of which some have other types, shapes and values."""
    arrays = dict(arrays)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(arrays)))
        arrays[name] = draw(st.sampled_from(ARRAY_WAYS))(draw, np.asarray(arrays[name]))
        if draw(st.integers(0, 9)) == 0:
            arrays[draw(st.sampled_from(["other", "y", "x", "owner", "train"]))] = arrays.pop(name)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _type(draw, array):
    with np.errstate(all="ignore"):
        try:
            return array.astype(draw(st.sampled_from(TYPES)))
        except (TypeError, ValueError):
            return array.astype("U9")


def _shape(draw, array):
    listed = np.atleast_1d(array)
    ways = (listed[:0], listed[1:], listed[None], listed[..., None], listed.ravel(), listed.T)
    ways += (np.concatenate([listed, listed]), listed.ravel()[0] if listed.size else listed)
    return np.asarray(draw(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7]).map(ways.__getitem__)))


def _value(draw, array):
    array = array.copy()
    if array.size and array.dtype.kind in "iuf":
        place = draw(st.integers(0, array.size - 1))
        value = draw(st.sampled_from(VALUES))
        try:
            with np.errstate(all="ignore"):
                array.reshape(-1)[place] = value
        except (OverflowError, ValueError):
            array = array.astype(np.float64)
    return array


ARRAY_WAYS = (_type, _shape, _value, _value)


@st.composite
def members_like(draw, content):
    """A ZIP file with a member that is damaged, called otherwise or there twice; sums are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(one.filename, archive.read(one)) for one in archive.infolist()]
    place = draw(st.integers(0, len(members) - 1))
    name, inside = members[place]
    way = draw(st.integers(0, 4))
    if way == 0:
        name = draw(
            st.sampled_from(["../x.npy", "/x.npy", "x", "a/b.npy", ".npy", "x.npy", "é.npy"])
        )
    elif way == 1:
        members.append(members[place])
    else:
        inside = draw(damaged(inside))
    members[place] = (name, inside)
    file = io.BytesIO()
    packed = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]))
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", packed) as archive:
        warnings.simplefilter("ignore")  # that a name is there twice
        for name, inside in members:
            archive.writestr(zipfile.ZipInfo(name), inside, compress_type=packed)
    return file.getvalue()
