"""Handles of weights are shared, cost nothing, and free the memory when the last is gone."""

from __future__ import annotations

import copy
import gc
import pickle
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from chatglm_slim_llm.checkpoint import pick_device
from chatglm_slim_llm.config import KVCacheDtype, LoadOptions, Quantization
from chatglm_slim_llm.errors import CheckpointNotFoundError, ConfigError
from chatglm_slim_llm.kernels import library
from chatglm_slim_llm.network import BatchedForward
from chatglm_slim_llm.weights import share
from tests.unit.native import needs_library

TINY = Path(__file__).parents[1] / "data" / "reference" / "tiny_v11"


def options(folder: Path = TINY) -> LoadOptions:
    return LoadOptions(model=str(folder), device="cpu")


def test_the_same_options_give_the_same_handle_while_somebody_holds_it() -> None:
    first = share(options())
    assert share(options()) is first
    assert share(replace(options(), kv_cache_dtype="int8")) is first  # the same weights
    assert share(LoadOptions(model=str(TINY), device="cpu", quantization="int8")) is not first
    assert copy.deepcopy(first) is first
    assert pickle.loads(pickle.dumps(first)) is first
    gone = weakref.ref(first)
    del first
    assert gone() is None


def test_threads_that_come_first_load_once_between_them(loads: list[str]) -> None:
    handle = share(options())
    with ThreadPoolExecutor(8) as pool:
        running = list(pool.map(lambda _: handle.get(allow_download=False), range(16)))
    assert len(loads) == 1
    assert len({id(each) for each in running}) == 1


def test_two_names_of_one_folder_share_the_model(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(TINY)
    one, other = share(options()), share(options(tmp_path / "link"))
    assert one is not other
    assert one.get(allow_download=False) is other.get(allow_download=False)


@needs_library
@pytest.mark.parametrize(("level", "same", "other"), [("fp16", "fp16", "int8"), ("int4", "int8", "fp16")])
def test_only_keys_and_values_that_differ_take_another_engine_on_the_same_weights(
    level: Quantization, same: KVCacheDtype, other: KVCacheDtype
) -> None:
    demo = share(LoadOptions(model="demo", quantization=level, device="cpu"))
    automatic = demo.get(allow_download=False)
    assert demo.get(same, allow_download=False) is automatic
    assert demo.get(other, allow_download=False).engine is not automatic.engine
    assert demo.get(other, allow_download=False).loaded is automatic.loaded


@pytest.mark.parametrize("is_loaded", [False, True])
def test_int8_keys_and_values_are_refused_before_anything_is_read_where_torch_runs_the_model(
    is_loaded: bool, without_kernels: None, loads: list[str], tmp_path: Path
) -> None:
    handle = share(options(Path(shutil.copytree(TINY, tmp_path / "tiny"))))  # which nobody has loaded with the kernels
    if is_loaded:
        handle.get(allow_download=False)
    loads.clear()
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"^kv_cache_dtype is int8, but .*; auto and fp16 do without$") as refused:
            handle.get("int8", allow_download=False)
        assert refused.value.key == "kv_cache_dtype"
    del refused  # its traceback holds the handle
    assert not loads
    assert handle.get("fp16", allow_download=False) is handle.get(allow_download=False)


def test_a_device_that_is_not_there_is_the_devices_fault() -> None:
    handle = share(replace(options(), device="cuda:99", kv_cache_dtype="int8"))
    with pytest.raises(ConfigError, match=r"^device 'cuda:99' cannot be used") as refused:
        handle.get("int8", allow_download=False)
    assert refused.value.key == "device"


def test_the_device_that_auto_means_is_one_with_it() -> None:
    automatic, named = (share(replace(options(), device=name)) for name in ("auto", str(pick_device("auto"))))
    assert automatic.get(allow_download=False) is named.get(allow_download=False)


def test_a_model_that_still_answers_is_found_though_its_handle_is_gone() -> None:
    running = share(options()).get(allow_download=False)
    assert share(options()).get(allow_download=False) is running


@needs_library
def test_a_model_that_cannot_do_what_is_wanted_leaves_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatchedForward, "supports", lambda _model: False)
    handle = share(options())
    with pytest.raises(ConfigError, match="which cannot run this model; auto and fp16 do without"):
        handle.get("int8", allow_download=False)
    assert handle.loaded is None


def test_the_model_leaves_memory_with_the_last_handle() -> None:
    one, other = share(options()), share(options())
    model = weakref.ref(one.get(allow_download=False).loaded.model)
    del one
    gc.collect()
    assert model() is not None
    del other
    gc.collect()
    assert model() is None


def test_a_checkpoint_that_changed_is_not_mistaken_for_the_one_in_memory(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    handle = share(options(folder))
    before, model = handle.fingerprint(), handle.get(allow_download=False)
    weights = folder / "model.safetensors"
    weights.touch()
    assert handle.fingerprint() != before
    if library() is not None:
        assert handle.get("int8", allow_download=False).loaded is model.loaded  # one handle, one model
    (tmp_path / "link").symlink_to(folder)
    assert share(options(tmp_path / "link")).get(allow_download=False) is not model


def test_the_tokenizer_comes_without_the_weights() -> None:
    handle = share(options())
    tokenizer = handle.get_tokenizer(allow_download=False)
    assert handle.loaded is None
    assert handle.get_tokenizer(allow_download=False) is tokenizer


def test_what_is_not_there_has_no_fingerprint_and_can_be_asked_for_again(tmp_path: Path) -> None:
    handle = share(options(tmp_path / "none"))
    assert handle.fingerprint() == ""
    for _ in range(2):
        with pytest.raises(CheckpointNotFoundError):
            handle.get(allow_download=False)
    shutil.copytree(TINY, tmp_path / "none")
    assert handle.get(allow_download=False).loaded.level == "fp16"
