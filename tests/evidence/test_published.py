"""The printed numbers are there as printed, and a wrong file of them says what is wrong."""

from pathlib import Path

import pytest

from gengap.errors import UserError
from gengap.evidence.published import parse_selector, read_published
from gengap.quantities import QUANTITIES

FOLDER = Path(__file__).parents[2] / "config" / "published"
HEADER = "source,table,row,cells,quantity,published,spread,unit,note\n"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.csv")), ids=lambda path: path.stem)
def test_every_shipped_file_is_valid(path):
    table = read_published(path)
    assert len(table) > 0
    assert set(table["quantity"]) <= set(QUANTITIES)
    assert not table.duplicated(["table", "row", "quantity"]).any()


def test_table_4_1_as_printed():
    table = read_published(FOLDER / "song_table_4_1.csv").set_index(["cells", "quantity"])["published"]
    assert table["width=4,init=he", "train_accuracy"] == "88.60"
    assert table["width=4,init=balanced:*", "test_loss"] == "0.1370"
    assert table["width=64,init=he", "train_loss"] == "0.0000"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,1,r,width=4,test_los,1,,1,", "line 2: unknown quantity 'test_los'. Did you mean 'test_loss'?"),
        ("a,1,r,width=4,test_accuracy,88,,1,", "line 2: unit: '1' is not allowed, test_accuracy is shown in '%'"),
        ("a,1,r,width4,test_loss,1,,1,", "line 2: cells: 'width4' is no selector"),
        ("a,1,r,,test_loss,1,,1,", "line 2: cells: '' is no selector"),
        ("a,1,r,width=4,test_loss,?,,1,", "line 2: published: '?' is not a number"),
        ("a,1,r,width=4,test_loss,1,x,1,", "line 2: spread: 'x' is not a number"),
        ("a,1,r,width=4,test_loss,nan,,1,", "line 2: published: 'nan' is not finite"),
        ("a,1,r,width=4,test_loss,1,inf,1,", "line 2: spread: 'inf' is not finite"),
        ("a,1,r,width=4,test_loss,1,-0.1,1,", "line 2: spread: -0.1 is negative"),
        ("a,1,r,width=4,test_accuracy,880.6,,%,", "line 2: published: 880.6 is outside 0 to 100"),
        ("a,1,r,width=4,train_error,-1,,%,", "line 2: published: -1 is outside 0 to 100"),
        ("a,1,r,width=4,test_loss,1_0,,1,", "line 2: published: '1_0' is not a number"),
        ("a,1,r,width=4,test_loss,１２,,1,", "line 2: published: '１２' is not a number"),
        ("a,1,r,width=4,test_loss,1e999,,1,", "line 2: published: '1e999' is not finite"),
        ("a,1,r,width=4,test_loss,1,,1", "line 2: has not as many values as there are columns"),
        ("a,1,r,width=4,test_loss,1,,1,,", "line 2: has not as many values as there are columns"),
        ("a\u202e,1,r,width=4,test_loss,1,,1,", "line 2: '\\u202e' is a character that is not seen"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    path = tmp_path / "wrong.csv"
    path.write_text(HEADER + line + "\n")
    with pytest.raises(UserError) as error:
        read_published(path)
    assert f"{path}: {message}" in str(error.value)


@pytest.mark.parametrize("runs", ["0", "many", "1.5", "-3", "²", "9" * 30])
def test_a_wrong_number_of_runs_is_named(tmp_path, runs):
    path = tmp_path / "wrong.csv"
    path.write_text(HEADER.replace("spread,", "spread,runs,") + f"a,1,r,width=4,test_loss,1,,{runs},1,\n")
    with pytest.raises(UserError, match=f"line 2: runs: '{runs}' is not allowed"):
        read_published(path)


def test_misprints_of_the_random_matrices_are_noted():
    """Rows of Table A3 copied from Table A2, and the size that two tables print wrongly."""
    tables = {
        name: read_published(FOLDER / f"oyedotun_table_{name}.csv").set_index("row") for name in ("a1", "a2", "a3")
    }
    assert [len(table) for table in tables.values()] == [16, 16, 15]
    for row in ("4000 x 50", "4000 x 500", "4000 x 2000", "4000 x 3000"):
        assert tables["a3"].loc[row, "published"] == tables["a2"].loc[row, "published"]
        assert "copied from Table A2" in tables["a3"].loc[row, "note"]
    for name in ("a1", "a2"):
        assert "4000 x 10" in tables[name].loc["4000 x 50", "note"]
        assert (
            tables[name].loc["4000 x 50", "published"] == tables[name].loc["4000 x 50 read as 4000 x 10", "published"]
        )


def test_wrong_columns_are_named(tmp_path):
    path = tmp_path / "wrong.csv"
    path.write_text(HEADER.replace("published", "publisched"))
    with pytest.raises(UserError, match=r"unknown column 'publisched'.*Did you mean 'published'"):
        read_published(path)
    path.write_text(HEADER.replace("published,", ""))
    with pytest.raises(UserError, match="lacks the column 'published'"):
        read_published(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_published(tmp_path / "none.csv")


def test_a_selector_is_axis_value_pairs():
    assert parse_selector("width=4, init=he") == {"width": "4", "init": "he"}
