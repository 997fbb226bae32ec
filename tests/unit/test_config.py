"""Options are checked once, and say which value of which origin is wrong."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from chatglm_slim_llm.config import Folders, GenerationOptions, LoadOptions
from chatglm_slim_llm.errors import ConfigError


def test_an_argument_wins_over_the_environment_and_that_over_the_default():
    environ = {"CHATGLM_SLIM_MODEL": "owner/name", "CHATGLM_SLIM_QUANTIZATION": "int4"}
    environ["CHATGLM_SLIM_KV_CACHE_DTYPE"] = "int8"
    options = LoadOptions.resolve(quantization="int8", environ=environ)
    assert options == LoadOptions(model="owner/name", quantization="int8", device="auto", kv_cache_dtype="int8")


def test_an_empty_variable_is_as_if_it_were_not_set():
    assert LoadOptions.resolve(environ={"CHATGLM_SLIM_DEVICE": ""}) == LoadOptions()


def test_a_bad_variable_is_named_as_the_source():
    with pytest.raises(ConfigError, match="CHATGLM_SLIM_QUANTIZATION: quantization 'int5' is not a level") as caught:
        LoadOptions.resolve(environ={"CHATGLM_SLIM_QUANTIZATION": "int5"})
    assert (caught.value.key, caught.value.source) == ("quantization", "CHATGLM_SLIM_QUANTIZATION")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", " "),
        ("quantization", "fp8"),
        ("quantization", 4),
        ("device", "gpu"),
        ("device", "cuda:"),
        ("kv_cache_dtype", "int4"),
    ],
)
def test_bad_arguments_are_refused_with_their_key(key, value):
    with pytest.raises(ConfigError) as caught:
        LoadOptions(**{key: value})
    assert (caught.value.key, caught.value.source) == (key, "argument")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("top_p", 0),
        ("top_p", 1.01),
        ("top_k", -1),
        ("repetition_penalty", 0),
        ("max_tokens", 0),
        ("max_length", 0),
        ("stop", "ab"),
        ("stop", ("",)),
        ("stop", (1,)),
    ],
)
def test_sampling_values_out_of_range_are_refused_with_their_key(key, value):
    with pytest.raises(ConfigError, match=f"{key} is .*; it must be") as caught:
        GenerationOptions(**{key: value})
    assert caught.value.key == key


def test_one_variable_puts_all_folders_under_one(tmp_path):
    folders = Folders.of_user({"CHATGLM_SLIM_HOME": str(tmp_path)})
    assert {folder.parent for folder in (folders.config, folders.data, folders.cache)} == {tmp_path}
    assert list(tmp_path.iterdir()) == []


def test_without_it_the_folders_are_those_of_the_system():
    assert all("chatglm-slim" in Path(folder).parts for folder in vars(Folders.of_user({})).values())
