"""A checkpoint that any causal-language-model code can run: two random layers, a small tokenizer, a chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_END = "<|end|>"


def write_tiny_llama(folder: Path, *, context: int) -> None:
    """Write it to ``folder``; the same bytes each time."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer(context)
    end_id = tokenizer.convert_tokens_to_ids(_END)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=context,
        eos_token_id=end_id,
        pad_token_id=end_id,
    )
    torch.manual_seed(1)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(context: int) -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    learned = ByteLevelBPETokenizer()
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").encode("ascii", "ignore").decode()
    learned.train_from_iterator(text.split("\n"), vocab_size=800, min_frequency=2, special_tokens=[_END])
    return PreTrainedTokenizerFast(
        tokenizer_object=learned._tokenizer,
        eos_token=_END,
        pad_token=_END,
        chat_template=_TEMPLATE,
        model_max_length=context,
    )
