"""NumPy's ``.npy`` format: what a header says, and rows of an array that stays in its file."""

from typing import IO

import numpy as np
from numpy.lib import format as npy

from demjax.data.rows_in_files import Inputs, rows_of_file

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """The shape of an array, whether it is in Fortran's order, and its type; it begins after that.

    Raises:
        ValueError, KeyError, OverflowError: This is no array that NumPy wrote.
    """
    return _HEADERS[npy.read_magic(file)](file)


def npy_rows(file: IO[bytes], where: object) -> Inputs:
    """An array whose header a file is at: rows in the file, or in Fortran's order all in memory.

    Args:
        file: An open file, which is closed with the last use of the rows.
        where: Its name, for sentences.
    """
    start = file.tell()
    shape, fortran, dtype = header(file)
    if fortran:
        with file:
            file.seek(start)
            return npy.read_array(file, allow_pickle=False)
    return rows_of_file(file, file.tell(), shape, dtype, where)
