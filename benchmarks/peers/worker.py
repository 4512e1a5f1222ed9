"""Index passages and answer questions with one retrieval system, in a process of its own.

    python benchmarks/peers/worker.py JOB.json RESULT.json

`benchmarks/peers.py` writes the job and reads the result. A system is imported only when
the job names it, so the same file runs in the environment of the peers and in the project's.
What a job's `options` mean is said where each system is built; an option that is absent
leaves the library's own default in force.
"""

from __future__ import annotations

import importlib.metadata
import ipaddress
import json
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Search = Callable[[str], Sequence[str]]
Build = Callable[[], Search]

# Asked before the clock starts: the first questions pay for what is loaded on first use.
_WARM_UP = 5


@dataclass(frozen=True)
class Passage:
    """A document of the corpus; the title is empty where it is not known."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Job:
    """What to index, how, and what to ask."""

    system: str
    options: dict[str, Any]
    encoder: str
    cache: str
    depth: int
    passages: list[Passage]
    questions: list[str]

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read a job from JSON."""
        record = json.loads(path.read_text(encoding="utf-8"))
        return cls(**record | {"passages": [Passage(**entry) for entry in record["passages"]]})

    def texts(self) -> list[str]:
        """Return the texts to index, each under its title where the options ask for it."""
        return [self.titled(p.title, p.text) for p in self.passages]

    def titled(self, title: str, text: str) -> str:
        """Return the text under the title, where there is one and the options ask for it."""
        return f"{title}\n{text}" if title and self.options.get("title") else text


def main() -> None:
    """Run the job named on the command line."""
    job = Job.read(Path(sys.argv[1]))
    sys.addaudithook(_refuse_network)
    with tempfile.TemporaryDirectory() as folder:
        build = SYSTEMS[job.system](job, Path(folder))
        begin = time.perf_counter()
        search = build()
        indexed = time.perf_counter() - begin
        for question in job.questions[:_WARM_UP]:
            search(question)
        rankings, milliseconds = [], []
        for question in job.questions:
            begin = time.perf_counter()
            found = search(question)
            milliseconds.append((time.perf_counter() - begin) * 1000)
            # Several pieces of a document count once, at the rank of the best.
            rankings.append(list(dict.fromkeys(found)))
        result = {
            "index_s": indexed,
            "query_ms": milliseconds,
            "rankings": rankings,
            "peak_mib": _peak_mib(),
            "versions": _versions(),
        }
        Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")


# --- Systems ------------------------------------------------------------------------------
# Each imports its library and returns the function that is timed as indexing: it loads the
# weights, indexes the passages and returns the search.


def _langchain(job: Job, folder: Path) -> Build:
    """Build LangChain's retrieval tutorial: text splitter, Chroma, similarity search.

    `prompts` sets the prompts of queries and passages, `space` Chroma's distance; `weights`
    adds `BM25Retriever` with French stems in an `EnsembleRetriever`.
    """
    import sentence_transformers  # noqa: F401
    from langchain_chroma import Chroma
    from langchain_core.documents import Document
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    options: dict[str, Any] = {}
    if prompts := job.options.get("prompts"):
        options["encode_kwargs"] = {"prompt": prompts["passage"]}
        options["query_encode_kwargs"] = {"prompt": prompts["query"]}
    space = job.options.get("space")
    if weights := job.options.get("weights"):
        import rank_bm25  # noqa: F401
        from langchain_classic.retrievers import EnsembleRetriever
        from langchain_community.retrievers import BM25Retriever

        stems = _french_stems()

    def build() -> Search:
        store = Chroma(
            collection_name="passages",
            embedding_function=HuggingFaceEmbeddings(model_name=job.encoder, **options),
            persist_directory=str(folder),
            collection_configuration={"hnsw": {"space": space}} if space else None,
        )
        splitter = RecursiveCharacterTextSplitter(
            chunk_size=1000, chunk_overlap=200, add_start_index=True
        )
        pieces = splitter.split_documents(
            Document(p.text, metadata={"id": p.id, "title": p.title}) for p in job.passages
        )
        for piece in pieces:
            piece.page_content = job.titled(piece.metadata["title"], piece.page_content)
        store.add_documents(pieces)
        if not weights:
            return lambda question: [
                document.metadata["id"]
                for document in store.similarity_search(question, k=job.depth)
            ]
        words = BM25Retriever.from_documents(pieces, preprocess_func=stems, k=job.depth)
        vectors = store.as_retriever(search_kwargs={"k": job.depth})
        ensemble = EnsembleRetriever(
            retrievers=[words, vectors], weights=[weights["words"], weights["vectors"]]
        )
        return lambda question: [
            document.metadata["id"] for document in ensemble.invoke(question)[: job.depth]
        ]

    return build


def _llamaindex(job: Job, folder: Path) -> Build:
    """Build LlamaIndex's vector index, with `fusion` its `QueryFusionRetriever` with BM25.

    `prompts` are the instructions of the encoder; `title` puts the title into the metadata,
    which LlamaIndex embeds and BM25 reads; `language` is that of BM25's stemmer and stop words;
    `candidates` is how many each retriever proposes, `weights` what its score counts.
    """
    import sentence_transformers  # noqa: F401
    import Stemmer
    from llama_index.core import Document, VectorStoreIndex
    from llama_index.core.llms import MockLLM
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from llama_index.retrievers.bm25 import BM25Retriever

    prompts = job.options.get("prompts", {})
    candidates = job.options.get("candidates", job.depth)

    def build() -> Search:
        documents = [
            Document(
                text=p.text,
                id_=p.id,
                metadata={"title": p.title} if p.title and job.options.get("title") else {},
            )
            for p in job.passages
        ]
        index = VectorStoreIndex.from_documents(
            documents,
            embed_model=HuggingFaceEmbedding(
                job.encoder,
                query_instruction=prompts.get("query"),
                text_instruction=prompts.get("passage"),
            ),
        )
        retriever: Any = index.as_retriever(similarity_top_k=candidates)
        if fusion := job.options.get("fusion"):
            language: dict[str, Any] = {}
            if name := job.options.get("language"):
                language = {"stemmer": Stemmer.Stemmer(name), "language": name}
            words = BM25Retriever.from_defaults(
                docstore=index.docstore, similarity_top_k=candidates, **language
            )
            weights = job.options.get("weights")
            retriever = QueryFusionRetriever(
                [retriever, words],
                llm=MockLLM(),  # never called: one query means that none is generated
                num_queries=1,
                mode=fusion,
                similarity_top_k=job.depth,
                retriever_weights=weights and [weights["vectors"], weights["words"]],
            )
        return lambda question: [hit.node.ref_doc_id for hit in retriever.retrieve(question)]

    return build


def _haystack(job: Job, folder: Path) -> Build:
    """Build Haystack's hybrid retrieval tutorial over its in-memory store, without a ranker.

    `prompts` are the embedders' prefixes; `store` are arguments of the store; `join` is the mode
    of the joiner, `weights` what the two lists count and `candidates` how long they are;
    `scale_score` brings the scores of BM25 between 0 and 1.
    """
    import sentence_transformers  # noqa: F401
    from haystack import Document, Pipeline
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.preprocessors import DocumentSplitter
    from haystack.components.retrievers.in_memory import (
        InMemoryBM25Retriever,
        InMemoryEmbeddingRetriever,
    )
    from haystack.components.writers import DocumentWriter
    from haystack.document_stores.in_memory import InMemoryDocumentStore
    from haystack_integrations.components.embedders.sentence_transformers import (
        SentenceTransformersDocumentEmbedder,
        SentenceTransformersTextEmbedder,
    )

    prompts = job.options.get("prompts", {})

    def build() -> Search:
        store = InMemoryDocumentStore(**job.options.get("store", {}))
        indexing = Pipeline()
        indexing.add_component(
            "split", DocumentSplitter(split_by="word", split_length=512, split_overlap=32)
        )
        indexing.add_component(
            "embed",
            SentenceTransformersDocumentEmbedder(
                model=job.encoder, prefix=prompts.get("passage", ""), progress_bar=False
            ),
        )
        indexing.add_component("write", DocumentWriter(store))
        indexing.connect("split", "embed")
        indexing.connect("embed", "write")
        documents = [
            Document(content=text, meta={"passage": p.id, "title": p.title})
            for p, text in zip(job.passages, job.texts(), strict=True)
        ]
        indexing.run({"split": {"documents": documents}})

        asking = Pipeline()
        asking.add_component(
            "embed",
            SentenceTransformersTextEmbedder(
                model=job.encoder, prefix=prompts.get("query", ""), progress_bar=False
            ),
        )
        candidates = job.options.get("candidates", job.depth)
        scaled = job.options.get("scale_score", False)
        words = InMemoryBM25Retriever(store, top_k=candidates, scale_score=scaled)
        asking.add_component("words", words)
        asking.add_component("vectors", InMemoryEmbeddingRetriever(store, top_k=candidates))
        weights = job.options.get("weights")
        shares = weights and [weights["words"], weights["vectors"]]
        asking.add_component("join", DocumentJoiner(job.options["join"], shares, job.depth))
        asking.connect("embed.embedding", "vectors.query_embedding")
        asking.connect("words", "join")
        asking.connect("vectors", "join")
        asking.warm_up()

        def search(question: str) -> list[str]:
            found = asking.run({"embed": {"text": question}, "words": {"query": question}})
            return [document.meta["passage"] for document in found["join"]["documents"]]

        return search

    return build


def _txtai(job: Job, folder: Path) -> Build:
    """Build txtai's embeddings database with `hybrid=True`.

    `prompts` are the instructions (empty ones switch those off that are stored with the
    encoder), `scoring` sets BM25 up for French with these settings, `weights` are those of the
    fusion.
    """
    from txtai import Embeddings

    config: dict[str, Any] = {}
    if prompts := job.options.get("prompts"):
        config["instructions"] = {"query": prompts["query"], "data": prompts["passage"]}
    if scoring := job.options.get("scoring"):
        from bm25s.stopwords import STOPWORDS_FRENCH

        tokenizer = {"regexp": r"\w\w+", "stopwords": list(STOPWORDS_FRENCH)}
        config["scoring"] = {"method": "bm25", "terms": True, "tokenizer": tokenizer, **scoring}

    def build() -> Search:
        database = Embeddings(path=job.encoder, hybrid=True, **config)
        database.index(
            (p.id, text, None) for p, text in zip(job.passages, job.texts(), strict=True)
        )
        weights = job.options.get("weights")
        shares = weights and [weights["vectors"], weights["words"]]
        return lambda question: [
            found for found, _ in database.search(question, job.depth, weights=shares)
        ]

    return build


def _citadelle(job: Job, folder: Path) -> Build:
    """Build Citadelle from files; `settings` are fields of its settings."""
    import chromadb  # noqa: F401
    import sentence_transformers  # noqa: F401

    from rag import Citadelle

    corpus = folder / "corpus"
    for passage in job.passages:
        path = corpus / passage.id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(passage.text.encode())

    def build() -> Search:
        citadelle = Citadelle.open(
            corpus=corpus, index=folder / "index", cache=Path(job.cache), **job.options["settings"]
        )
        return lambda question: [
            hit.chunk.doc_id for hit in citadelle.search(question, job.depth).hits
        ]

    return build


SYSTEMS: dict[str, Callable[[Job, Path], Build]] = {
    "langchain": _langchain,
    "llamaindex": _llamaindex,
    "haystack": _haystack,
    "txtai": _txtai,
    "citadelle": _citadelle,
}


def _french_stems() -> Callable[[str], list[str]]:
    """Return the tokenizer for `BM25Retriever`, which has none but white space of its own."""
    import Stemmer
    from bm25s.stopwords import STOPWORDS_FRENCH

    stemmer, stop = Stemmer.Stemmer("french"), frozenset(STOPWORDS_FRENCH)

    def tokens(text: str) -> list[str]:
        words = re.findall(r"\w\w+", text.lower())
        return list(stemmer.stemWords([word for word in words if word not in stop]))

    return tokens


# --- The process --------------------------------------------------------------------------


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse every connection but to this machine."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if host not in (None, "", "localhost") and not _loopback(str(host)):
        raise PermissionError(f"the measurement runs offline, and {host} was asked for")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _peak_mib() -> float:
    """Return the largest resident memory of this process, in MiB."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # not Linux; macOS counts bytes
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    # Not `ru_maxrss`: on Linux it also remembers the process that started this one.
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 2**10 if found else 0.0


def _versions() -> dict[str, str]:
    """Return the versions of the imported packages that a figure may depend on."""
    names = (
        "bm25s chromadb citadelle faiss-cpu haystack-ai langchain-chroma langchain-classic "
        "langchain-community langchain-core langchain-huggingface llama-index-core "
        "llama-index-embeddings-huggingface llama-index-retrievers-bm25 numpy "
        "sentence-transformers sentence-transformers-haystack torch transformers txtai"
    )
    versions = {}
    for name in names.split():
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


if __name__ == "__main__":
    main()
