"""Devices, sparse products, and runs that repeat bit for bit."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from hashrec.index.errors import ConfigError

DeviceName = Literal["auto", "cpu", "cuda"]


def resolve_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device; ``auto`` takes a GPU if one is available.

    Raises:
        ConfigError: the name is unknown, or asks for a GPU and PyTorch sees none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device must be auto, cpu or cuda, got {name!r}")
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise ConfigError("device cuda: PyTorch finds no GPU; use --device cpu")
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")


def csr_tensor(X: Any, device: torch.device) -> Tensor:
    """Move a sparse matrix to a device.

    Args:
        X: float32 `scipy.sparse.csr_matrix`.
        device: of the result.
    """
    return csr_of(
        torch.from_numpy(X.indptr.astype(np.int64)).to(device),
        torch.from_numpy(X.indices.astype(np.int64)).to(device),
        torch.from_numpy(X.data).to(device),
        X.shape,
    )


def csr_of(indptr: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Build a sparse CSR tensor from its parts, on their device."""
    with warnings.catch_warnings():
        # PyTorch calls all of sparse CSR beta; the products used are tested against dense ones.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        # PyTorch warns once about the copies that it makes for its own check.
        warnings.filterwarnings("ignore", message="Sparse invariant checks are implicitly")
        return torch.sparse_csr_tensor(indptr, columns, values, shape, check_invariants=True)


def sparse_product(X: Tensor, B: Tensor) -> Tensor:
    """Return X B, bit for bit repeatable and without a gradient.

    cuSPARSE does not fix the order in which it adds the terms of a row, even if PyTorch is asked
    for deterministic algorithms. A sum of embeddings adds in the order of the row.

    Args:
        X: float32 CSR, shape (n, m).
        B: float32, shape (m, d).
    """
    if X.device.type == "cuda":
        return ordered_product(X, B)
    return X @ B


def ordered_product(X: Tensor, B: Tensor) -> Tensor:
    """Return X B as `sparse_product` does on a GPU."""
    return embedding_bag(
        X.col_indices(),
        B,
        X.crow_indices(),
        mode="sum",
        per_sample_weights=X.values(),
        include_last_offset=True,
    )


def product_dtype(device: torch.device, n_bits: int) -> torch.dtype:
    """Return the type in which products with +-1 codes are fastest and still exact.

    Signs, and their inner products up to 512 bits, are exact in bfloat16, which recent processors
    and GPUs multiply about ten times as fast as float32; others emulate it slowly.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_amx_tile_supported()  # PyTorch has no public function for this
    return torch.bfloat16 if native and n_bits <= 512 else torch.float32


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Let PyTorch use only algorithms that repeat bit for bit, until the block ends.

    A run repeats on the same machine, device and number of threads. Every random number must come
    from `generator`: the global random state is left alone.
    """
    if device.type == "cuda":
        # cuBLAS reads this when it starts; without it its reductions have no fixed order.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    options: Any = torch.utils.deterministic  # its property is missing from the type stubs
    filled = options.fill_uninitialized_memory
    before = torch.get_deterministic_debug_mode()
    # `use_deterministic_algorithms` would import the compiler, which takes a second.
    torch.set_deterministic_debug_mode("error")
    # Filling memory before it is written costs an eighth of a training step; no code here reads it.
    options.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
        options.fill_uninitialized_memory = filled


def generator(device: torch.device, seed: int, *stream: int) -> torch.Generator:
    """Return a random generator on a device, independent of those of other seeds and streams.

    Args:
        device: of the random tensors.
        seed: the run's seed, not negative.
        stream: purpose of the numbers, for example a stage and an epoch. With one generator per
            epoch, training can resume at any epoch.
    """
    mixed = np.random.SeedSequence(seed, spawn_key=stream).generate_state(1, np.uint64)
    return torch.Generator(device=device).manual_seed(int(mixed[0]) >> 1)
