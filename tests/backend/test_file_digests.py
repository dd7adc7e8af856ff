"""Files that are what was written, and nowhere else."""

from demjax.backend.file_digests import write_whole


def test_a_link_where_a_file_is_written_aside_leads_nowhere(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.partial").symlink_to(tmp_path / "mine")
    write_whole(tmp_path / "in" / "a.json", "{}")
    assert (tmp_path / "mine").read_text() == "mine"
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.json"]
