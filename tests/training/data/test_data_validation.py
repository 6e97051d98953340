from __future__ import annotations

import pytest

from hashrec.index.errors import DataError
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.rows import ColumnReport
from hashrec.training.data.catalogue import list_datasets
from hashrec.training.data.synthetic import synthetic_catalogue
from hashrec.training.data.validation import ValidationReport, validate


def test_report_counts_what_is_in_a_file(tmp_path):
    path = tmp_path / "sales.csv"
    path.write_bytes(
        b"user_id,item_id,rating,timestamp\n"
        b"u,i,5,1086400000000\nu,j,3,1172800000000\nu,i,4,1259200000000\nv,i,1,1345600000000\n,i,1,1\n"
    )
    report = validate(path)
    assert report == ValidationReport(
        path=str(path),
        format="CSV: user=user_id,item=item_id,value=rating,timestamp=timestamp",
        rows=5,
        bad_rows=1,
        bad_examples=("line 6: no user id",),
        duplicates=1,
        below_min_value=0,
        other_types=0,
        users=2,
        items=2,
        interactions=3,
        density=0.75,
        users_with_one_item=1,
        items_with_one_user=1,
        median_items_per_user=1.5,
        median_users_per_item=1.5,
        value_range=(1.0, 5.0),
        timestamp_unit="milliseconds",
        first_timestamp="2007-03-02T01:46:40Z",
        last_timestamp="2012-08-22T01:46:40Z",
        data_hash=report.data_hash,
        columns=(
            ColumnReport("user", "user_id", "a usual name"),
            ColumnReport("item", "item_id", "a usual name"),
            ColumnReport("value", "rating", "a usual name"),
            ColumnReport("timestamp", "timestamp", "a usual name", "milliseconds", 0, 1,
                         "line 6: '1'"),
        ),
        hints=(
            "1 ratings below 3 count as positive interactions; --min-value 3 leaves them out",
        ),
        strength="ratings from 1 to 5: higher ones may count more",
    )  # fmt: skip
    assert validate(path, min_value=4).below_min_value == 2


def test_report_of_bare_pairs_has_no_values_and_no_times(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_bytes(b"who\twhat\nu\ti\n")
    report = validate(path, FormatOptions(columns={"user": "who", "item": "what"}))
    assert report.value_range is None
    assert report.timestamp_unit is None
    assert report.first_timestamp is None


def test_columns_that_are_not_in_use_and_types_are_listed(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(
        b"event_time,event_type,product_id,price,user_id\n"
        b"2019-10-01 00:00:00 UTC,view,i,8.5,u\n2019-10-01 00:00:01 UTC,view,j,NULL,u\n"
        b"2019-10-01 00:00:02 UTC,cart,i,8.5,v\n"
    )
    report = validate(path)
    assert report.ignored_columns == ("price",)
    assert report.types == {"view": 2, "cart": 1}
    assert report.first_timestamp == "2019-10-01T00:00:00Z"


def test_values_below_zero_are_pointed_out(tmp_path):
    path = tmp_path / "anime.csv"
    path.write_bytes(b"user_id,anime_id,rating\nu,1,-1\nu,2,9\nv,3,-1\nv,1,\n")
    report = validate(path)
    assert report.hints[0].startswith("2 values are negative (-1 means 'seen, not rated'")
    assert report.value_range == (-1.0, 9.0)


def test_file_that_cannot_be_read_fails(tmp_path):
    with pytest.raises(DataError):
        validate(tmp_path / "nothing.csv")


def test_every_name_of_the_list_can_be_validated(tmp_path):
    for known in list_datasets(tmp_path):
        if known.is_here:
            invented = synthetic_catalogue().interactions
            report = validate(known.name, data_home=tmp_path)
            assert (report.path, report.rows) == ("synthetic", len(invented))
            assert (report.users, report.items) == (1_000, 600)
            assert report.data_hash == invented.data_hash()
        else:
            with pytest.raises(DataError, match=f"run `hashrec data fetch {known.name}`"):
                validate(known.name, data_home=tmp_path)


def test_fetched_data_set_is_validated_by_its_name(tmp_path):
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    (folder / "u.data").write_text("1\t10\t5\t978300760\n2\t10\t3\t978302109\n")
    by_name = validate("ml-100k", data_home=tmp_path)
    assert by_name.path == str(folder / "u.data")
    assert (by_name.rows, by_name.users, by_name.items) == (2, 2, 1)
    assert validate(folder) == by_name


def test_file_goes_before_a_data_set_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic").write_text("user_id,item_id\nu,i\n")
    assert validate("synthetic").rows == 1
