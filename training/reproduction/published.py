"""Published figures of other authors for the same protocols."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A published row of figures.

    Attributes:
        n_bytes: bytes of an item; None if not stated.
        bits: None for floats, or if not stated.
        average_precision: None if not printed.
        method: the same method's key in `METHODS`; None if it is not there.
    """

    dataset: str
    title: str
    n_bytes: int | None
    bits: int | None
    recall: float
    average_precision: float | None
    ndcg: float
    method: str | None = None

    def figures(self) -> dict[str, float]:
        """Return the printed figures by the names that reports use."""
        figures = {"recall": self.recall, "map": self.average_precision, "ndcg": self.ndcg}
        return {name: value for name, value in figures.items() if value is not None}


_PAPER = "Wang, Lian and Ge 2019, Table {}: {}".format
_LIGHTGCN, _ULTRAGCN = "LightGCN (He et al. 2020)", "UltraGCN (Mao et al. 2021)"
PUBLISHED = (
    Published("ml-1m", _PAPER(2, "DCF"), None, None, 0.0416, 0.0101, 0.0558, "dcf"),
    Published("ml-1m", _PAPER(2, "BCCF"), None, None, 0.1234, 0.0720, 0.1724, "bccf"),
    Published("ml-1m", _PAPER(2, "PPH"), None, None, 0.0277, 0.0027, 0.0249, "pph"),
    Published("ml-1m", _PAPER(2, "DGCN-BinCF"), 24, 192, 0.3059, 0.1187, 0.3061, "dgcn-bincf"),
    Published("ml-10m", _PAPER(3, "DCF"), None, None, 0.0791, 0.0180, 0.0809, "dcf"),
    Published("ml-10m", _PAPER(3, "BCCF"), None, None, 0.0789, 0.0267, 0.0869, "bccf"),
    Published("ml-10m", _PAPER(3, "PPH"), None, None, 0.0978, 0.0123, 0.0695, "pph"),
    Published("ml-10m", _PAPER(3, "DGCN-BinCF"), 6, 48, 0.2405, 0.0537, 0.1895, "dgcn-bincf"),
    Published("yelp", _PAPER(4, "DCF"), None, None, 0.0661, 0.0053, 0.0382, "dcf"),
    Published("yelp", _PAPER(4, "BCCF"), None, None, 0.0966, 0.0122, 0.0658, "bccf"),
    Published("yelp", _PAPER(4, "PPH"), None, None, 0.0627, 0.0051, 0.0361, "pph"),
    Published("yelp", _PAPER(4, "DGCN-BinCF"), 24, 192, 0.1738, 0.0192, 0.1008, "dgcn-bincf"),
    Published("gowalla", _LIGHTGCN, 256, None, 0.1830, None, 0.1554, "lightgcn"),
    Published("gowalla", _ULTRAGCN, 256, None, 0.1862, None, 0.1580),
    Published("yelp2018", _LIGHTGCN, 256, None, 0.0649, None, 0.0530, "lightgcn"),
    Published("yelp2018", _ULTRAGCN, 256, None, 0.0683, None, 0.0561),
    Published("yelp2018", "SimGCL (Yu et al. 2022)", 256, None, 0.0721, None, 0.0601),
)
