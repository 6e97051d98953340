"""Where tensors live, and what makes a run repeat bit for bit."""

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
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device; ``auto`` takes a GPU when there is one.

    Raises:
        ConfigError: the name is none of these, or it asks for a GPU that is not there.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device must be auto, cpu or cuda, got {name!r}")
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise ConfigError("device cuda: this PyTorch sees no GPU; use --device cpu")
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")


def csr_tensor(X: Any, device: torch.device) -> Tensor:
    """Move a sparse matrix to a device.

    Args:
        X: float32 `scipy.sparse.csr_matrix`.
        device: where it is to lie.
    """
    return csr_of(
        torch.from_numpy(X.indptr.astype(np.int64)).to(device),
        torch.from_numpy(X.indices.astype(np.int64)).to(device),
        torch.from_numpy(X.data).to(device),
        X.shape,
    )


def csr_of(indptr: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return a sparse CSR tensor of its parts, on their device."""
    with warnings.catch_warnings():
        # PyTorch calls all of sparse CSR beta; the products used are tested against dense ones.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        # Said once of the copies that PyTorch itself makes while it checks these.
        warnings.filterwarnings("ignore", message="Sparse invariant checks are implicitly")
        return torch.sparse_csr_tensor(indptr, columns, values, shape, check_invariants=True)


def sparse_product(X: Tensor, B: Tensor) -> Tensor:
    """Return X B, the same bit for bit each time; it has no gradient.

    cuSPARSE adds a row's terms up in an order of its own, and not always the same, whatever
    PyTorch is asked for. A sum of embeddings keeps to the order of the row.

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
        native = torch.cpu._is_amx_tile_supported()  # there is no public question
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
    # `use_deterministic_algorithms` would import the compiler, a second that no job here needs.
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
        device: where the random tensors are to be made.
        seed: the run's seed, not negative.
        stream: what the numbers are for, for instance a stage and an epoch. A generator an epoch,
            instead of one that runs through, lets training go on from any epoch.
    """
    mixed = np.random.SeedSequence(seed, spawn_key=stream).generate_state(1, np.uint64)
    return torch.Generator(device=device).manual_seed(int(mixed[0]) >> 1)
