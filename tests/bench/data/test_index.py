import numpy as np
import pandas as pd
import pytest

from bench.data.index import read_index
from bench.data.tasks import OBSERVATIONS
from bench.errors import DataError


def table(**changes):
    rows = pd.DataFrame(
        {
            "Path": [
                "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg",
                "CheXpert-v1.0-small/train/patient00001/study2/view1_lateral.jpg",
                "CheXpert-v1.0-small/train/patient00002/study1/view1_frontal.jpg",
            ],
            "Sex": ["Female", "Female", "Unknown"],
            "Age": [60, 60, 0],
            "Frontal/Lateral": ["Frontal", "Lateral", "Frontal"],
            "AP/PA": ["AP", None, "PA"],
            **{name: [1.0, -1.0, None] for name in OBSERVATIONS},
        }
    )
    return rows.assign(**changes)


def saved(tmp_path, rows):
    rows.to_csv(tmp_path / "train.csv", index=False)
    return tmp_path / "train.csv"


def test_rows_come_out_as_they_went_in(tmp_path):
    frame = read_index(saved(tmp_path, table()))
    assert list(frame["path"]) == [
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00001/study2/view1_lateral.jpg",
        "train/patient00002/study1/view1_frontal.jpg",
    ]
    assert list(frame["study"]) == ["patient00001/study1", "patient00001/study2", "patient00002/study1"]
    assert list(frame["view"]) == ["frontal", "lateral", "frontal"]
    np.testing.assert_array_equal(frame["pleural_effusion"], [1, -1, np.nan])


def test_columns_are_found_by_name_in_any_order(tmp_path):
    rows = table(Extra=1)
    shuffled = rows[sorted(rows.columns, reverse=True)]
    pd.testing.assert_frame_equal(read_index(saved(tmp_path, shuffled)), read_index(saved(tmp_path, rows)))


def test_a_missing_file_names_where_it_looked(tmp_path):
    with pytest.raises(DataError, match=rf"{tmp_path}/train.csv: no such file"):
        read_index(tmp_path / "train.csv")


def test_a_renamed_column_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no column Edema; there are: .*Oedema"):
        read_index(saved(tmp_path, table().rename(columns={"Edema": "Oedema"})))


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="no rows"):
        read_index(saved(tmp_path, table().iloc[:0]))


def test_all_problems_come_together_with_file_row_and_value(tmp_path):
    rows = table(Edema=["yes", 2, None], **{"Frontal/Lateral": ["Frontal", "Oblique", "Frontal"]})
    rows.loc[2, "Path"] = rows.loc[0, "Path"]
    with pytest.raises(DataError) as caught:
        read_index(saved(tmp_path, rows))
    message = str(caught.value)
    assert "Edema is none of 1, 0, -1 and blank in 2 row(s) (row 2: 'yes', row 3: '2')" in message
    assert "Frontal/Lateral is neither Frontal nor Lateral in 1 row(s) (row 3: 'Oblique')" in message
    assert "the same image twice in 1 row(s) (row 4:" in message


@pytest.mark.parametrize("path", ["../../etc/passwd", "CheXpert/train/patient1/study1/../../../x.jpg", "a/train/1.jpg"])
def test_a_path_that_is_not_chexperts_is_refused(tmp_path, path):
    rows = table()
    rows.loc[1, "Path"] = path
    with pytest.raises(DataError, match=r"path does not end in .* in 1 row\(s\) \(row 3: "):
        read_index(saved(tmp_path, rows))
