"""The type of an array of item or user rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
NO_ROWS: Rows = np.empty(0, dtype=np.int64)
