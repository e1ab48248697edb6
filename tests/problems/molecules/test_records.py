import pytest

from jointdec.errors import UserError
from jointdec.problems.molecules.records import Record, read_records


@pytest.fixture
def written(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_a_smi_file_gives_the_first_word_of_each_line_and_its_number(written):
    path = written("a.smi", "# a comment\n\nCCO ethanol, 1\n  \n\tN#C\tnitrile\nC#C\n #O\n")
    assert read_records(path, "smiles") == [Record(3, "CCO"), Record(5, "N#C"), Record(6, "C#C")]


def test_a_csv_file_gives_the_named_column_and_the_line_on_which_its_row_ends(written):
    path = written("a.csv", 'name,SMILES\n"ethanol, wet",CCO\n\n"two\nlines", CN \nshort\n')
    assert read_records(path, "SMILES") == [Record(2, "CCO"), Record(5, "CN"), Record(6, "")]


@pytest.mark.parametrize("content", ["\ufeffsmiles\nC\n", "smiles\r\nC\r\n", "smiles\nC"])
def test_a_byte_order_mark_and_any_line_ending_are_read(written, content):
    assert read_records(written("a.CSV", content), "smiles") == [Record(2, "C")]
    assert read_records(written("a.SMI", content), "smiles")[0] == Record(1, "smiles")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.sdf", "C", "must be a .smi or a .csv file"),
        ("a", "C", "must be a .smi or a .csv file"),
        ("a.smi", b"\xff\xfeC\x00", "not UTF-8 text"),
        ("a.csv", b"smiles\n\x89PNG\r\n\x1a\n", "not UTF-8 text"),
        ("a.smi", "", "holds no record"),
        ("a.smi", "# only\n\n# comments\n", "holds no record"),
        ("a.csv", "smiles\n", "holds no record"),
        ("a.csv", "", "the file's columns are: none"),
        ("a.csv", 'smiles\n"C\nC\n', "not a well-formed CSV file: unexpected end of data"),
        ("a.csv", "smiles\n" + "C" * 200_000, "not a well-formed CSV file: field larger than field limit"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_its_name_with_the_reason(written, name, content, says):
    path = written(name, content)
    with pytest.raises(UserError) as refused:
        read_records(path, "smiles")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value) or "data.column" in str(refused.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data\.path is '.*none\.smi', but there is no such file"):
        read_records(tmp_path / "none.smi", "smiles")


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(UserError, match=r"data\.path is '.*a\.csv', which is a folder"):
        read_records(tmp_path / "a.csv", "smiles")


def test_a_file_below_a_file_is_refused(written):
    with pytest.raises(UserError, match=r"cannot be read: Not a directory"):
        read_records(written("a", "") / "b.smi", "smiles")


def test_a_missing_column_is_refused_with_the_columns_there_are_and_the_closest_one(written):
    path = written("a.csv", "id,smile,note\n1,C,x\n")
    with pytest.raises(UserError) as refused:
        read_records(path, "smiles")
    assert str(refused.value) == (
        "data.column is 'smiles' (did you mean 'smile'?), but the file's columns are: id, smile, note."
    )
