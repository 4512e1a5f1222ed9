"""Measure the reader in bf16, fp32 and with ONNX Runtime in int8: time, and whether they agree.

Reads the first questions of PIAF train with ten passages each, in turns, so that what else
the machine does strikes all alike. ONNX Runtime's int8 needs the package `onnx` for the
export, which nothing else does: `pip install onnx`.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data import arguments
from rich.console import Console
from rich.progress import track
from rich.table import Table

from eval.squad import load_squad
from rag.config import load_settings
from rag.encoder import E5Encoder, open_encoder
from rag.span_model import BUNDLED_WEIGHTS, PassageScores, SpanModel, apply_heads, run_layers

PASSAGES = 10


class OnnxReader(SpanModel):
    """The reader with its layers run by ONNX Runtime in 8-bit integers."""

    def quantise(self, folder: Path) -> OnnxReader:
        """Export the layers, quantise their matrices, and open a session."""
        import onnxruntime
        from onnxruntime.quantization import quantize_dynamic

        layers = self._layers.float()

        class Network(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layers = layers

            def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
                return run_layers(self.layers, states, mask)

        states = torch.randn(2, 64, 384)
        ones = torch.ones(2, 64)
        names = ["states", "mask"]
        torch.onnx.export(
            Network(),
            (states, ones),
            str(folder / "reader.onnx"),
            input_names=names,
            output_names=["read"],
            dynamic_axes={name: {0: "pairs", 1: "tokens"} for name in names},
            dynamo=False,
        )
        quantize_dynamic(
            folder / "reader.onnx",
            folder / "int8.onnx",
            per_channel=True,
            extra_options={"MatMulConstBOnly": True},
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session: Any = onnxruntime.InferenceSession(
            folder / "int8.onnx", options, providers=["CPUExecutionProvider"]
        )
        return self

    def _run(
        self, ids: torch.Tensor, mask: torch.Tensor, body: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        states = self._embeddings(input_ids=ids).float()
        (read,) = self._session.run(None, {"states": states.numpy(), "mask": mask.numpy()})
        return apply_heads(self._heads, torch.from_numpy(read), body)


def main() -> None:
    """Print the table."""
    given = arguments(str(__doc__).split("\n", 1)[0], 40)
    encoder = open_encoder(load_settings())
    if importlib.util.find_spec("onnx") is None or not isinstance(encoder, E5Encoder):
        sys.stdout.write("Not run: it needs the package onnx and the bundled encoder.\n")
        return
    dataset = load_squad(given.data / "piaf-train.json", limit=given.questions)
    bodies = list(dict.fromkeys(context.text for context in dataset.contexts))
    rng = np.random.default_rng(7)
    asked = [
        (item.question, [("", str(body)) for body in rng.choice(bodies, PASSAGES)])
        for item in dataset.items
    ]
    backbone, tokenizer = encoder.model.transformer, encoder.model.tokenizer
    with tempfile.TemporaryDirectory() as folder:
        readers: dict[str, SpanModel] = {
            "fp32": SpanModel.load(BUNDLED_WEIGHTS, backbone, tokenizer, "fp32"),
            "bf16": SpanModel.load(BUNDLED_WEIGHTS, backbone, tokenizer, "bf16"),
            "ONNX int8": OnnxReader.load(BUNDLED_WEIGHTS, backbone, tokenizer, "fp32"),
        }
        quantised = readers["ONNX int8"]
        assert isinstance(quantised, OnnxReader)
        quantised.quantise(Path(folder))
        _compare(readers, asked)


def _compare(
    readers: dict[str, SpanModel], asked: Sequence[tuple[str, list[tuple[str, str]]]]
) -> None:
    times: dict[str, list[float]] = {name: [] for name in readers}
    found: dict[str, list[PassageScores]] = {name: [] for name in readers}
    for question, passages in track(asked, "Reading"):
        for name, reader in readers.items():
            begin = time.perf_counter()
            found[name] += reader.read(question, passages)
            times[name].append((time.perf_counter() - begin) * 1000)
    usual = float(np.median(times["fp32"]))
    table = Table("", "p50 of ten passages", "of fp32", "same span", "relevance differs by")
    for name in readers:
        p50 = float(np.median(times[name]))
        table.add_row(
            name,
            f"{p50:.0f} ms",
            f"{p50 / usual:.2f}",
            f"{_share(found[name], found['fp32'], _same_span):.3f}",
            f"{_share(found[name], found['fp32'], _apart):.2f}",
        )
    Console().print(table)


def _share(
    one: Sequence[PassageScores],
    other: Sequence[PassageScores],
    of: Callable[[PassageScores, PassageScores], float],
) -> float:
    return float(np.mean([of(a, b) for a, b in zip(one, other, strict=True)]))


def _same_span(one: PassageScores, other: PassageScores) -> float:
    end = int(one.ends[-1])
    a, b = one.best_span(0, end), other.best_span(0, end)
    return float(a is not None and b is not None and a[1:] == b[1:])


def _apart(one: PassageScores, other: PassageScores) -> float:
    return abs(one.relevance - other.relevance)


if __name__ == "__main__":
    main()
