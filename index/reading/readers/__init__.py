"""File formats. A new format is a module here and a line in `READERS`.

Readers are asked in this order whether they recognise a file. Formats with a header come first: it
tells more than the look of the rows.

Public: `READERS`, `reader.Reader`, `reader.Table`.
"""

from hashrec.index.reading.readers.delimited import HeaderReader, RecBoleReader
from hashrec.index.reading.readers.fixed import FixedReader
from hashrec.index.reading.readers.jsonl import JsonReader
from hashrec.index.reading.readers.lists import ListReader
from hashrec.index.reading.readers.parquet import ParquetReader
from hashrec.index.reading.readers.published import JesterReader, MindReader, NetflixReader
from hashrec.index.reading.readers.reader import Reader

READERS: dict[str, Reader] = {
    "parquet": ParquetReader(),
    "jsonl": JsonReader(),
    "recbole": RecBoleReader(),
    "csv": HeaderReader(),
    "movielens-dat": FixedReader(
        "MovieLens ratings.dat", ("user", "item", "value", "timestamp"), "::"
    ),
    "movielens-100k": FixedReader("MovieLens u.data", ("user", "item", "value", "timestamp"), "\t"),
    "lightgcn": ListReader(),
    # Only the user knows the order of Amazon's columns: it changed between releases.
    "amazon-2014": FixedReader(
        "Amazon 2014 ratings", ("user", "item", "value", "timestamp"), ",", detect=False
    ),
    "amazon-2018": FixedReader(
        "Amazon 2018 ratings", ("item", "user", "value", "timestamp"), ",", detect=False
    ),
    "netflix-prize": NetflixReader(),
    "jester": JesterReader(),
    "mind": MindReader(),
}
