"""The reference checker's view of this project: every hook goes through the public classes.

`class Adapter` is what a checker of reference numbers loads; it works for any folder of such data.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import DynamicCache

from chatglm_slim_llm import checkpoint
from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.engine import sampling
from chatglm_slim_llm.kernels import dequantize_weight, quantize_weight
from chatglm_slim_llm.model import (
    ChatGLMConfig,
    ChatGLMModel,
    StreamDecoder,
    build_prompt,
    decode_steps,
    process_response,
)
from chatglm_slim_llm.network.positions import Layout
from chatglm_slim_llm.network.rotary import rotary_angles


class Adapter:
    """Hooks as the checker names them; ids are lists, tensors are fp32 on the CPU."""

    tokenizer_policy = "safe"
    decode_cleanup = False
    atol = {"tiny_v11": 3e-4, "tiny28_v11": 2e-3, "default": 3e-4}

    def load_model(self, directory):
        return checkpoint.load_model(Path(directory), dtype=torch.float32)

    def load_model_with_prefix(self, base_directory, prefix_directory):
        model = self.load_model(base_directory)
        checkpoint.load_prefix(model, Path(prefix_directory))
        return model

    def load_tokenizer(self, directory):
        return checkpoint.load_tokenizer(Path(directory))

    def positions_and_mask(self, model, input_ids):
        layout = Layout.of(torch.tensor([input_ids]), model.config)
        length = len(input_ids)
        return layout.position_ids(0, length)[0], layout.attention_mask(0, length)[0, 0]

    def forward(self, model, input_ids, position_ids=None):
        given = None if position_ids is None else torch.as_tensor(position_ids)[None]
        return model(torch.tensor([input_ids]), position_ids=given).logits[0]

    def forward_batch(self, model, rows):
        input_ids, attention_mask = _pad_left(rows, model.config.pad_token_id)
        logits = model(input_ids, attention_mask=attention_mask).logits
        return [row_logits[-len(row) :] for row_logits, row in zip(logits, rows, strict=True)]

    def greedy(self, model, input_ids, max_new_tokens):
        return self.greedy_batch(model, [input_ids], max_new_tokens)[0]

    def greedy_batch(self, model, rows, max_new_tokens):
        input_ids, attention_mask = _pad_left(rows, model.config.pad_token_id)
        out = model.generate(
            input_ids,
            attention_mask=attention_mask,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=model.config.pad_token_id,
        )
        new = out[:, input_ids.shape[-1] :].tolist()
        eos = model.config.eos_token_id
        return [ids[: ids.index(eos) + 1] if eos in ids else ids for ids in new]

    def step_logits(self, model, input_ids, new_ids):
        seen, fed = [], iter(new_ids)

        def pick(logits):
            seen.append(logits)
            return next(fed)

        steps = decode_steps(model, torch.tensor([input_ids]), pick, eos_token_id=-1)
        for _ in new_ids:
            next(steps)
        return torch.stack(seen)

    def loss(self, model, input_ids, labels):
        return model(torch.tensor([input_ids]), labels=torch.tensor([labels])).loss

    def backbone_steps(self, tensors, config, steps, prefix=None):
        config = {key: value for key, value in config.items() if key not in ("pre_seq_len", "max_length")}
        model = ChatGLMModel(ChatGLMConfig(**config)).eval()
        missing, unexpected = model.load_state_dict(
            {key.removeprefix("transformer."): value.float() for key, value in tensors.items()}, strict=False
        )
        assert not missing, missing
        assert all(key.endswith("rotary_emb.inv_freq") for key in unexpected), unexpected
        cache = DynamicCache()
        if prefix is not None:
            for i in range(len(prefix) // 2):
                cache.update(prefix[2 * i][None].float(), prefix[2 * i + 1][None].float(), i)
        outputs = []
        for ids, position_ids, mask in steps:
            if mask is not None:
                num_past = cache.get_seq_length()
                mask = torch.nn.functional.pad(mask, (num_past + len(ids) - mask.shape[-1], 0))[None, None]
            out = model(
                torch.tensor([ids]),
                position_ids=position_ids[None],
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
            )
            outputs.append(out.last_hidden_state[0])
        return outputs

    def slim(self, full_directory, out_directory):
        checkpoint.slim(Path(full_directory), Path(out_directory))

    def quantize(self, weight, bits):
        return quantize_weight(weight, bits)

    def dequantize(self, packed, scale, bits):
        return dequantize_weight(packed, scale, bits)

    def encode(self, tok, text):
        return tok.encode(text)

    def decode(self, tok, ids):
        return tok.decode(ids)

    def stream_decode(self, tok, ids):
        decoder = StreamDecoder(tok)
        return [*(decoder.push(i) for i in ids), decoder.flush()]

    def token_id(self, tok, piece):
        return tok.convert_tokens_to_ids(piece)

    def build_prompt(self, query, history):
        return build_prompt(query, history)

    def process_response(self, text):
        return process_response(text)

    def chat_greedy(self, model, tok, query, history, max_length):
        return model.chat(tok, query, history=history, max_length=max_length, do_sample=False)[0]

    def chat_stream_greedy(self, model, tok, query, history, max_length):
        shown = [text for text, _ in model.stream_chat(tok, query, history, max_length=max_length, do_sample=False)]
        return shown[-1]

    def sample_probs(self, logits, previous_ids, temperature, top_k, top_p, repetition_penalty):
        options = GenerationOptions(
            temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=repetition_penalty
        )
        return sampling.sample_probs(logits, previous_ids, options)

    def rotary(self, dim, positions):
        angles = rotary_angles(torch.tensor(positions), dim)
        return angles.cos(), angles.sin()

    def fix_invalid(self, logits):
        return sampling.fix_invalid(logits)


def _pad_left(rows, pad):
    width = max(map(len, rows))
    ids = [[pad] * (width - len(row)) + list(row) for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)
