"""What can be made is told beforehand; a file is whole or not there."""

import errno
import os

import pytest

from demjax.runs.new_files import check_folder, check_new_file, is_there, whole_file


def test_a_link_to_nothing_a_file_in_the_way_and_a_name_too_long_are_told(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").write_text("mine")
    for path, words in (
        ("link", "link is a link to nowhere, which does not exist"),
        ("link/below", "link is a link to nowhere, which does not exist"),
        ("file/below", "file is a file, and no folder"),
        ("file/below/more", "file is a file, and no folder"),
        ("a" * 300, "File name too long"),
        (f"{'a' * 300}/below", "File name too long"),
    ):
        with pytest.raises(ValueError, match=words) as error:
            check_folder(tmp_path / path)
        assert str(error.value).endswith(".")
    check_folder(tmp_path)
    check_folder(tmp_path / "new" / "below")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_a_new_file_is_new_and_its_folder_is_there(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    assert is_there(tmp_path / "link")
    with pytest.raises(ValueError, match="would be overwritten; possible is --out"):
        check_new_file(tmp_path / "link", "--out")
    with pytest.raises(ValueError, match="no is no folder to write into"):
        check_new_file(tmp_path / "no" / "file")
    with pytest.raises(ValueError, match="File name too long"):
        check_new_file(tmp_path / ("a" * 300))
    check_new_file(tmp_path / "new")


def write_and_fail(path, error):
    with whole_file(path) as partial:
        partial.write_text("half")
        raise error


def test_a_file_is_whole_or_not_there_and_an_error_names_it(tmp_path):
    path = tmp_path / "figure.png"
    with pytest.raises(OSError, match="No space left") as full:
        write_and_fail(path, OSError(errno.ENOSPC, "No space left on device"))
    assert full.value.filename == str(path)
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(path, KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []
    with whole_file(path) as partial:
        assert partial.suffix == ".png"
        partial.write_text("all")
    assert [one.name for one in tmp_path.iterdir()] == ["figure.png"]


def test_a_link_where_a_file_is_written_aside_leads_nowhere(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / f".{os.getpid()}.partial.txt").symlink_to(tmp_path / "mine")
    with whole_file(tmp_path / "new.txt") as partial:
        partial.write_text("new")
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "new.txt").read_text() == "new"
