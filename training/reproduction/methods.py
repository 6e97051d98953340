"""The experiments to reproduce, with their settings: data sets, methods, grids and sweeps.

No setting was chosen on a test part. A setting that is not listed here is the default of the model
or the teacher, which is printed in its paper or was chosen on a validation part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Protocol:
    """How to read, split and judge a data set.

    Attributes:
        title: name in reports.
        k: length of the lists.
        k_core: users and items with fewer interactions are dropped, repeatedly.
        fixed_split: whether the test part comes with the data, so that there is only one split.
        n_bits: width of the codes, three times `factor_dim`.
        factor_dim: D of GCN-CF.
        printed_sizes: users, items and interactions in the paper's Table 1.
        help: how to get the data.
    """

    title: str
    k: int = 100
    k_core: int = 20
    fixed_split: bool = False
    n_bits: int = 192
    factor_dim: int = 64
    printed_sizes: tuple[int, int, int] | None = None
    help: str = ""


PROTOCOLS = {
    "ml-1m": Protocol(
        "MovieLens-1M",
        printed_sizes=(6_022, 3_043, 995_154),
        help="run `hashrec data fetch ml-1m`, or give its file with --data",
    ),
    "ml-10m": Protocol(
        "MovieLens-10M",
        k_core=0,  # Table 1 has all of its ratings
        n_bits=48,
        factor_dim=16,
        printed_sizes=(69_878, 10_681, 10_000_054),
        help="run `hashrec data fetch ml-10m`, or give its file with --data",
    ),
    "yelp": Protocol(
        "Yelp",
        printed_sizes=(9_235, 7_353, 423_354),
        help="give a file of Yelp's reviews, or the folder of Yelp2018's train.txt and test.txt, "
        "with --data",
    ),
    "yelp2018": Protocol("Yelp2018, its fixed split", k=20, k_core=0, fixed_split=True),
}
# A table with several data sets uses the first one that is there.
DATASETS_OF_TABLE = {2: ("ml-1m",), 3: ("ml-10m",), 4: ("yelp", "yelp2018")}
DATASETS_OF_FIGURES = DATASETS_OF_TABLE[2]  # and of the sweeps


@dataclass(frozen=True)
class Method:
    """A row of a table.

    Attributes:
        title: name in reports.
        teacher: key of `TEACHERS`: the float method itself, or the teacher of the codes. None takes
            the model's default.
        model: key of `HASH_MODELS`, or `auto`; None for a float method.
        settings: settings of the model that differ from its defaults.
        seconds: approximate time of one run on MovieLens-1M without its teacher on two cores, for
            the estimate.
        version: raise it when a change of the code changes the results of the method; earlier runs
            are then run again.
    """

    title: str
    teacher: str | None = None
    model: str | None = None
    settings: Settings = field(default_factory=dict)
    seconds: float = 60.0
    version: int = 1


# In the printed losses the scores are not scaled; the learning rate was chosen for that on
# validation parts.
_AS_PRINTED = {"score_scale": 1.0, "learning_rate": 0.01}
METHODS = {
    "popularity": Method("popularity", "popularity", seconds=2),
    "ials": Method("iALS", "ials", seconds=4),
    "ease": Method("EASE", "ease", seconds=3),
    "spectralcf": Method("SpectralCF", "spectralcf", seconds=120),
    "lightgcn": Method("LightGCN", "lightgcn", seconds=120),
    "gcn-cf": Method("GCN-CF", "gcn-cf", seconds=80),
    "lsh": Method("LSH", model="lsh", seconds=6),
    "minhash": Method("min-hash LSH", model="minhash", seconds=5),
    "hashed-mf": Method("hashed MF", model="hashed-mf", seconds=20),
    "itq": Method("ITQ", model="itq", seconds=8),
    "ch": Method("CH", model="ch", seconds=20),
    "bccf": Method("BCCF", model="bccf", seconds=8),
    "pph": Method("PPH", model="pph", seconds=15),
    "dcf": Method("DCF", model="dcf", seconds=25),
    "bincf": Method("BinCF", "gcn-cf", "bincf", seconds=50),
    "dgcn-bincf": Method("DGCN-BinCF", "gcn-cf", "dgcn-bincf", seconds=60),
    "dgcn-bincf-eq17": Method(
        "DGCN-BinCF, eq. 17 as printed",
        "gcn-cf",
        "dgcn-bincf",
        {"binarizer": "bernoulli", **_AS_PRINTED},
        seconds=65,
    ),
    "dgcn-bincf-eq18": Method(
        "DGCN-BinCF, eq. 18 as printed",
        "gcn-cf",
        "dgcn-bincf",
        {"binarizer": "relaxed", **_AS_PRINTED},
        seconds=60,
    ),
    "auto": Method("hashrec (auto)", model="auto", seconds=100),
}
METHODS_OF_TABLE = tuple(name for name in METHODS if name not in ("spectralcf", "lightgcn"))
BARS_OF_FIGURE = {1: ("spectralcf", "lightgcn", "gcn-cf"), 2: ("bincf", "dgcn-bincf")}
CURVES_OF_FIGURE = {3: ("gcn-cf", "dgcn-bincf")}
FIGURES = (*BARS_OF_FIGURE, *CURVES_OF_FIGURE)
TITLE_OF_FIGURE = {
    1: "GCN-CF beside other graph networks",
    2: "What distillation adds",
    3: "Loss by epoch",
}
PRINTED_OF_FIGURE = {
    1: "GCN-CF over SpectralCF by more than 20% on every metric",
    2: "DGCN-BinCF over BinCF by 10% on every metric",
    3: "both losses fall and level off within 200 epochs",
}


@dataclass(frozen=True)
class Effort:
    """The effort of a reproduction: full, or with fewer epochs.

    Attributes:
        name: in reports.
        teachers: name -> settings that replace the usual ones.
        models: the same for hash models.
        curve_epochs: length of the curves of Figure 3.
    """

    name: str
    teachers: Mapping[str, Settings] = field(default_factory=dict)
    models: Mapping[str, Settings] = field(default_factory=dict)
    curve_epochs: int = 200


FULL = Effort("full")
# Fewer epochs, the same widths: Table 2 takes a quarter of an hour.
FAST = Effort(
    "fast",
    teachers={
        "gcn-cf": {"epochs": 14},
        "lightgcn": {"epochs": 25},
        "spectralcf": {"epochs": 40},
    },
    models={"bincf": {"epochs": 8}, "dgcn-bincf": {"epochs": 8}},
    curve_epochs=20,
)

# The grids of `--select`, which judges by a tenth of the training part: those of the paper's
# section 5.1 for its baselines, values around the printed ones for its own models. One setting is
# chosen after the other, each with the earlier choices; the current value is always tried too. For
# a float method they are settings of the teacher.
_POWERS = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)
_NOISE = {
    "beta": (0.0001, 0.001, 0.01),
    "nu": (0.0001, 0.001, 0.01),
    "tau": (0.1, 0.2, 0.5),
}
GRIDS: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "dcf": {"alpha": _POWERS, "beta": _POWERS},
    "bccf": {"balance": (0.01, 0.03, 0.05, 0.07, 0.09)},
    "pph": {"constraint": (0.01, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)},
    "gcn-cf": {"regularization": (0.0001, 0.001, 0.01)},
    "bincf": _NOISE,
    "dgcn-bincf": {
        "alpha": (1.0, 10.0, 30.0),
        "temperature": (0.5, 1.0, 2.0),
        **_NOISE,
    },
}


@dataclass(frozen=True)
class Sweep:
    """Many values of one setting of DGCN-BinCF, judged on a validation part.

    Attributes:
        title: name in reports.
        values: in order.
        lines: name of a line in the figure -> its common settings.
    """

    title: str
    values: tuple[float | str, ...]
    lines: Mapping[str, Settings]


_BINARIZERS: Mapping[str, Settings] = {
    name: {"binarizer": name} for name in ("relaxed", "bernoulli")
}
_SCALES: Mapping[str, Settings] = {"scaled scores": {}, "scores as printed": _AS_PRINTED}
SWEPT_METHOD = "dgcn-bincf"
SWEEPS = {
    "alpha": Sweep("alpha, the weight of distillation", (0.0, 1.0, 3.0, 10.0, 30.0), _BINARIZERS),
    "beta": Sweep(
        "beta, the weight of the distance from ±1",
        (0.0, 0.001, 0.01, 0.1, 1.0),
        {"relaxed": _BINARIZERS["relaxed"]},
    ),
    "nu": Sweep("nu, the weight of the noise", (0.0, 0.0001, 0.001, 0.01, 0.1), _BINARIZERS),
    "tau": Sweep("tau, the temperature of the noise", (0.05, 0.1, 0.2, 0.5, 1.0), _BINARIZERS),
    "binarizer": Sweep(
        "how bits are learned",
        ("relaxed", "bernoulli", "straight-through", "tanh-annealing"),
        _SCALES,
    ),
}
