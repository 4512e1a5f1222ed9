"""Index a folder of text files as LangChain's retrieval tutorial does, and print seconds and MiB.

    python benchmarks/peers/recipe.py CORPUS ENCODER

`benchmarks/indexing.py` calls it in the environment of the peers.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter


def main() -> None:
    """Load the encoder, then time the rest."""
    corpus, encoder = sys.argv[1:]
    embeddings = HuggingFaceEmbeddings(
        model_name=encoder,
        model_kwargs={"model_kwargs": {"dtype": "float32"}},
        encode_kwargs={"prompt": "passage: "},
    )
    embeddings.embed_query("")
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        splitter = RecursiveCharacterTextSplitter(
            chunk_size=1000, chunk_overlap=200, add_start_index=True
        )
        pieces = splitter.split_documents(
            Document(path.read_text(encoding="utf-8"), metadata={"source": path.name})
            for path in sorted(Path(corpus).rglob("*.txt"))
        )
        Chroma.from_documents(pieces, embeddings, persist_directory=folder)
        seconds = time.perf_counter() - begin
    found = {"seconds": seconds, "pieces": len(pieces), "memory": peak()}
    sys.stdout.write(json.dumps(found) + "\n")


def peak() -> float:
    """Return the most memory that this process took, in MiB.

    `getrusage` would count that of the process which started it.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
