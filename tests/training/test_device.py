from __future__ import annotations

import pytest
import torch

from index.errors import ConfigError
from training.device import deterministic, generator, resolve_device

CPU = torch.device("cpu")


def test_cpu_is_the_cpu_and_auto_takes_what_is_there():
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_absent_gpu_is_refused_with_what_to_do():
    with pytest.raises(ConfigError, match="no GPU; use --device cpu"):
        resolve_device("cuda")


def test_other_names_are_refused():
    with pytest.raises(ConfigError, match="auto, cpu or cuda, got 'tpu'"):
        resolve_device("tpu")


def test_deterministic_block_leaves_the_setting_as_it_was():
    assert not torch.are_deterministic_algorithms_enabled()
    with deterministic(CPU):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(KeyError), deterministic(CPU):
        {}["absent"]
    assert not torch.are_deterministic_algorithms_enabled()


def test_every_seed_and_stream_has_numbers_of_its_own_that_repeat():
    streams = [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 1, 2), (0, 2, 1)]

    def draw(seed, *stream):
        return tuple(torch.rand(4, generator=generator(CPU, seed, *stream)).tolist())

    drawn = [draw(*stream) for stream in streams]
    assert len(set(drawn)) == len(streams)
    assert drawn == [draw(*stream) for stream in streams]
