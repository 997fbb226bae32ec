"""Model files of random weights for llama.cpp (GGUF) and chatglm.cpp (its own GGML format).

Speed does not depend on what the weights are, only on their sizes and their encoding, so nothing is downloaded.
Scales are small and never zero: no activation overflows, none is denormal.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

F32 = 0
BLOCK = 32
ENCODINGS = {"q4_0": (2, 16, 0.005), "q8_0": (8, 32, 0.0003)}
"""Name -> (ggml's number of the type, bytes of quants in a block of 32, largest scale of a block)."""
_GGUF_ALIGN = 32
_GGML_ALIGN = 16
_GGUF_U32, _GGUF_F32, _GGUF_STRING = 4, 6, 8


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a decoder."""

    layers: int
    inner: int
    vocab: int
    hidden: int = 4096
    heads: int = 32
    positions: int = 2048
    mlp_matrices: int = 2
    """2 for GELU (ChatGLM), 3 for a gated SiLU (LLaMA)."""

    def matrix_weights(self) -> int:
        """Weights that every new token is multiplied with: linears and the output layer."""
        layer = 4 * self.hidden**2 + self.mlp_matrices * self.hidden * self.inner
        return self.layers * layer + self.vocab * self.hidden


def chatglm_6b(layers: int = 28) -> Shape:
    """ChatGLM-6B without the image tokens, as ChatGLM-6B-Slim."""
    return Shape(layers=layers, inner=16384, vocab=130528)


def llama_7b(layers: int = 32) -> Shape:
    """LLaMA-7B."""
    return Shape(layers=layers, inner=11008, vocab=32000, mlp_matrices=3)


@dataclass(frozen=True)
class Tensor:
    """One tensor to write: a vector is F32, a matrix is in the file's encoding."""

    name: str
    rows: int
    columns: int = 0
    fill: float = 0.0

    def data(self, encoding: str, rng: np.random.Generator) -> bytes:
        """The tensor's bytes in the file."""
        if not self.columns:
            return np.full(self.rows, self.fill, "<f4").tobytes()
        return random_blocks(self.rows * self.columns, encoding, rng).tobytes()

    def size_bytes(self, encoding: str) -> int:
        """How many bytes `data` gives."""
        if not self.columns:
            return self.rows * 4
        return self.rows * self.columns // BLOCK * (2 + ENCODINGS[encoding][1])


def random_blocks(weights: int, encoding: str, rng: np.random.Generator) -> NDArray[np.void]:
    """Blocks of one fp16 scale and random quants each, [weights / 32]."""
    _, quant_bytes, largest = ENCODINGS[encoding]
    blocks = np.empty(weights // BLOCK, [("scale", "<f2"), ("quants", "u1", (quant_bytes,))])
    blocks["scale"] = rng.uniform(largest / 2, largest, len(blocks)).astype("<f2")
    blocks["quants"] = np.frombuffer(rng.bytes(len(blocks) * quant_bytes), "u1").reshape(-1, quant_bytes)
    return blocks


def write_llama(path: Path, shape: Shape, encoding: str) -> None:
    """Write a GGUF file of the ``llama`` architecture; token ids are used directly, so it carries no vocabulary."""
    tensors = list(_llama_tensors(shape))
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        pairs = _llama_metadata(shape, encoding)
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs))
        offset = 0
        for tensor in tensors:
            file.write(_gguf_tensor_info(tensor, encoding, offset))
            offset += _aligned(tensor.size_bytes(encoding), _GGUF_ALIGN)
        for tensor in tensors:
            _pad(file, _GGUF_ALIGN)
            file.write(tensor.data(encoding, rng))
        _pad(file, _GGUF_ALIGN)


def _llama_tensors(shape: Shape) -> Iterator[Tensor]:
    hidden, inner = shape.hidden, shape.inner
    yield Tensor("token_embd.weight", shape.vocab, hidden)
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        yield Tensor(f"{block}.attn_norm.weight", hidden, fill=1.0)
        yield from (Tensor(f"{block}.attn_{name}.weight", hidden, hidden) for name in ("q", "k", "v", "output"))
        yield Tensor(f"{block}.ffn_norm.weight", hidden, fill=1.0)
        yield from (Tensor(f"{block}.ffn_{name}.weight", inner, hidden) for name in ("gate", "up"))
        yield Tensor(f"{block}.ffn_down.weight", hidden, inner)
    yield Tensor("output_norm.weight", hidden, fill=1.0)
    yield Tensor("output.weight", shape.vocab, hidden)


def _llama_metadata(shape: Shape, encoding: str) -> list[bytes]:
    numbers = {
        "context_length": shape.positions,
        "embedding_length": shape.hidden,
        "block_count": shape.layers,
        "feed_forward_length": shape.inner,
        "attention.head_count": shape.heads,
        "attention.head_count_kv": shape.heads,
        "rope.dimension_count": shape.hidden // shape.heads,
        "vocab_size": shape.vocab,
    }
    file_type = {"q4_0": 2, "q8_0": 7}[encoding]
    return [
        _gguf_pair("general.architecture", _GGUF_STRING, _gguf_string("llama")),
        _gguf_pair("tokenizer.ggml.model", _GGUF_STRING, _gguf_string("no_vocab")),
        *(_gguf_pair(f"llama.{key}", _GGUF_U32, struct.pack("<I", value)) for key, value in numbers.items()),
        _gguf_pair("general.file_type", _GGUF_U32, struct.pack("<I", file_type)),
        _gguf_pair("llama.attention.layer_norm_rms_epsilon", _GGUF_F32, struct.pack("<f", 1e-5)),
    ]


def _gguf_pair(key: str, kind: int, value: bytes) -> bytes:
    return _gguf_string(key) + struct.pack("<I", kind) + value


def _gguf_string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _gguf_tensor_info(tensor: Tensor, encoding: str, offset: int) -> bytes:
    """Name, dimensions with the fastest first, type, place in the data."""
    dims = (tensor.columns, tensor.rows) if tensor.columns else (tensor.rows,)
    kind = ENCODINGS[encoding][0] if tensor.columns else F32
    return _gguf_string(tensor.name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def write_chatglm(path: Path, shape: Shape, encoding: str) -> None:
    """Write a chatglm.cpp file (model type 1, version 2) with a tokenizer that knows the special tokens only."""
    rng = np.random.default_rng(0)
    sizes = (shape.vocab, shape.hidden, shape.heads, shape.heads, shape.layers, shape.inner)
    with path.open("wb") as file:
        file.write(b"ggml" + struct.pack("<iii6i", 1, 2, ENCODINGS[encoding][0], *sizes))
        file.write(struct.pack("<fifiii", 1e-5, 0, 10000.0, shape.positions, -1, -1))
        tokenizer = minimal_tokenizer(["<unk>", "<sop>", "<eop>", "[MASK]", "[gMASK]", "<pad>"])
        file.write(struct.pack("<i", len(tokenizer)) + tokenizer)
        for tensor in _chatglm_tensors(shape):
            dims = (tensor.rows, tensor.columns) if tensor.columns else (tensor.rows,)
            kind = ENCODINGS[encoding][0] if tensor.columns else F32
            file.write(struct.pack("<i", len(tensor.name)) + tensor.name.encode())
            file.write(struct.pack(f"<i{len(dims)}ii", len(dims), *dims, kind))
            _pad(file, _GGML_ALIGN)
            file.write(tensor.data(encoding, rng))


def _chatglm_tensors(shape: Shape) -> Iterator[Tensor]:
    """The checkpoint's own keys; the output layer shares the embedding."""
    hidden, inner = shape.hidden, shape.inner
    linears = {
        "attention.query_key_value": (3 * hidden, hidden),
        "attention.dense": (hidden, hidden),
        "mlp.dense_h_to_4h": (inner, hidden),
        "mlp.dense_4h_to_h": (hidden, inner),
    }
    yield Tensor("transformer.word_embeddings.weight", shape.vocab, hidden)
    for layer in range(shape.layers):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield from _norm(f"transformer.layers.{layer}.{norm}", hidden)
        for name, (rows, columns) in linears.items():
            yield Tensor(f"transformer.layers.{layer}.{name}.weight", rows, columns)
            yield Tensor(f"transformer.layers.{layer}.{name}.bias", rows)
    yield from _norm("transformer.final_layernorm", hidden)


def _norm(name: str, hidden: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", hidden, fill=1.0)
    yield Tensor(f"{name}.bias", hidden)


def minimal_tokenizer(pieces: list[str]) -> bytes:
    """A SentencePiece model of these pieces; the first is the unknown one. Protobuf, written by hand."""
    unknown, normal = 2, 1
    model = b""
    for index, piece in enumerate(pieces):
        text = piece.encode()
        body = b"\x0a" + bytes([len(text)]) + text  # 1: the piece
        body += b"\x15" + struct.pack("<f", -float(index))  # 2: its score
        body += b"\x18" + bytes([normal if index else unknown])  # 3: its type
        model += b"\x0a" + bytes([len(body)]) + body  # 1: pieces
    return model


def _aligned(size: int, step: int) -> int:
    return -(-size // step) * step


def _pad(file: BinaryIO, step: int) -> None:
    file.write(b"\0" * (_aligned(file.tell(), step) - file.tell()))
