from __future__ import annotations

import pytest

from hashrec.index.errors import DataError
from hashrec.training.data.catalogue import list_datasets
from hashrec.training.data.synthetic import synthetic_catalogue
from hashrec.training.data.validation import ValidationReport, validate


def test_report_counts_what_is_in_a_file(tmp_path):
    path = tmp_path / "sales.csv"
    path.write_bytes(
        b"user_id,item_id,rating,timestamp\n"
        b"u,i,5,86400000000\nu,j,3,172800000000\nu,i,4,259200000000\nv,i,1,345600000000\n,i,1,1\n"
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
        first_timestamp="1975-06-24T00:00:00Z",
        last_timestamp="1980-12-14T00:00:00Z",
        data_hash=report.data_hash,
    )
    assert validate(path, min_value=4).below_min_value == 2


def test_report_of_bare_pairs_has_no_values_and_no_times(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_bytes(b"who\twhat\nu\ti\n")
    report = validate(path, columns={"user": "who", "item": "what"})
    assert report.value_range is None
    assert report.timestamp_unit is None
    assert report.first_timestamp is None


def test_time_beyond_the_calendar_is_reported_not_raised(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"user_id,item_id,timestamp\nu,i,-99999999999\nu,j,0\nu,k,0\n")
    report = validate(path)
    assert report.first_timestamp == "-99999999999 seconds, which is not a date"
    assert report.last_timestamp == "1970-01-01T00:00:00Z"


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
