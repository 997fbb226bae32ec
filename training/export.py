"""Write a trained model as a checkpoint that the package loads like any other."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from chatglm_slim_llm.checkpoint.slimming import TOKENIZER_SETTINGS
from chatglm_slim_llm.model import ChatGLMForConditionalGeneration

_TOKENIZER_CONFIG = TOKENIZER_SETTINGS | {
    "name_or_path": "chatglm-slim-demo",
    "remove_space": False,
    "do_lower_case": False,
}


def export(model: ChatGLMForConditionalGeneration, vocab_file: Path, folder: Path) -> None:
    """Write config, fp16 weights and tokenizer into `folder`, each file beside its target first."""
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    sizes = ("hidden_size", "inner_hidden_size", "layernorm_epsilon", "num_attention_heads", "num_layers", "vocab_size")
    ids = ("bos_token_id", "eos_token_id", "mask_token_id", "gmask_token_id", "pad_token_id")
    described = {
        "architectures": ["ChatGLMForConditionalGeneration"],
        "model_type": "chatglm",
        **{name: getattr(config, name) for name in (*ids, *sizes)},
        "max_sequence_length": 2048,
        "position_encoding_2d": True,
        "deepnorm_layers": config.deepnorm_layers,
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        "use_cache": True,
    }
    _write_json(folder / "config.json", described)
    _write_json(folder / "tokenizer_config.json", _TOKENIZER_CONFIG)
    weights = {
        name: tensor.detach().to(torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"  # tied: the embedding's own
    }
    partial = folder / "model.safetensors.partial"
    save_file(weights, partial, metadata={"format": "pt"})
    partial.chmod(0o644)
    partial.replace(folder / "model.safetensors")
    shutil.copyfile(vocab_file, folder / "ice_text.model")


def _write_json(path: Path, content: dict[str, object]) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
