"""The network alone against the model of transformers that is made of the same parts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from chatglm_slim_llm.checkpoint import load_model
from chatglm_slim_llm.checkpoint.loading import load
from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.model import ChatGLMForConditionalGeneration
from chatglm_slim_llm.network import Network
from tests.programs import LIGHT
from tests.unit.test_model import small_config

HEAVY = ("transformers.modeling_utils", "torch._dynamo", "torch._inductor", "torch.distributed.tensor", "sympy")
DEMO = Path(__file__).parents[2] / "chatglm_slim_llm" / "demo"


@pytest.mark.parametrize(
    "changes",
    [{}, {"pre_seq_len": 5, "prefix_projection": True}, {"quantization_bit": 8, "quantization_embeddings": True}],
    ids=str,
)
def test_it_has_the_parameters_of_transformers_model(changes):
    with torch.device("meta"):
        ours = Network(small_config(**changes)).state_dict()
        theirs = ChatGLMForConditionalGeneration(small_config(**changes)).state_dict()
    assert {name: (t.shape, t.dtype) for name, t in ours.items()} == {
        name: (t.shape, t.dtype) for name, t in theirs.items()
    }


def test_a_checkpoint_gives_both_the_same_scores():
    ours, theirs = load(LoadOptions(quantization="fp16", device="cpu")).model, load_model(DEMO)
    assert ours.lm_head.weight is ours.transformer.word_embeddings.weight
    input_ids = torch.tensor([[500, 600, 700, 5987, 5990]])
    with torch.inference_mode():
        assert torch.equal(ours(input_ids).logits, theirs(input_ids).logits)


def test_on_the_processor_an_embedding_starts_with_numbers():
    weight = Network(small_config()).transformer.word_embeddings.weight
    assert 0.5 < weight.std() < 2


@pytest.mark.long
def test_whatever_runs_it_imports_neither_transformers_base_class_nor_torchs_compiler(tmp_path):
    """They take as long to import as torch itself; one process for all, as each takes seconds."""
    code = (
        f"{LIGHT}import sys\nfrom chatglm_slim_llm import ChatGLMSlim, ChatGLMSlimEmbeddings\n"
        "from chatglm_slim_llm.checkpoint import quantize_checkpoint\n"
        "assert ChatGLMSlim(max_tokens=2).invoke('hi').content\n"
        "assert ChatGLMSlim(max_tokens=2, quantization='int4').invoke('hi').content\n"
        "assert ChatGLMSlimEmbeddings().embed_query('hi')\n"
        f"quantize_checkpoint({DEMO.as_posix()!r}, {(tmp_path / 'int8').as_posix()!r}, 8)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
