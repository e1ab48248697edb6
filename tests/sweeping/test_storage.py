import pytest

from jointdec.errors import UserError
from jointdec.sweeping.storage import open_storage, require_answer, storage_uri


def test_a_study_is_kept_in_a_journal_file_unless_a_database_is_named(tmp_path):
    assert storage_uri(None, tmp_path) == str(tmp_path / "study.journal")
    assert storage_uri(str(tmp_path / "mine"), tmp_path) == str(tmp_path / "mine")
    assert storage_uri("postgresql://u:p@h/d", tmp_path) == "postgresql://u:p@h/d"


def test_a_uri_of_another_kind_is_refused_without_its_password(tmp_path):
    with pytest.raises(UserError, match="must be the path of a journal file or begin with") as refused:
        storage_uri("redis://u:secret@h/d", tmp_path)
    assert "secret" not in str(refused.value)


def test_a_database_that_nobody_answers_for_is_refused_at_once_without_its_password():
    with pytest.raises(UserError, match=r"nobody answers at 127\.0\.0\.1:1\)") as refused:
        require_answer("postgresql://u:secret@127.0.0.1:1/d")
    assert "secret" not in str(refused.value)


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be used"):
        open_storage(str(tmp_path))  # a folder
    (tmp_path / "text").write_text("no\njournal\n")
    (tmp_path / "json").write_text('{"some": 1}\n')
    with pytest.raises(UserError, match="it is no journal"):
        open_storage(str(tmp_path / "json"))
    with pytest.raises(UserError, match="cannot be used"):
        open_storage(str(tmp_path / "text"))


def test_a_uri_that_is_none_is_refused():
    with pytest.raises(UserError, match="it is no database URL"):
        require_answer("postgresql://h:abc/d")
