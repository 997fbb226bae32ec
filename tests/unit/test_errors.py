"""Errors cross a process boundary whole."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from chatglm_slim_llm import errors
from chatglm_slim_llm.llm import PromptOverflowError
from chatglm_slim_llm.messages import MessageError

SAMPLES = [
    errors.ConfigError("m", key="k", source="s"),
    errors.CheckpointNotFoundError("m"),
    errors.CheckpointFormatError("m", path=Path("p"), key="k"),
    errors.VocabularyMismatchError("m", expected=1, found=2),
    errors.QuantizationError("m", bits=4),
    errors.PromptTooLongError("m", prompt_tokens=3, limit=2),
    errors.SchemaTooNewError("m"),
    PromptOverflowError("m", prompt_tokens=3, limit=2),
    MessageError("m", index=1),
]


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling_with_its_message_and_attributes(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
