"""The view of the evaluation: choose questions, ask them, read what came of it.

The evaluation itself is imported where it is needed, so that the other views do not wait.
"""

from __future__ import annotations

import base64
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

import streamlit as st

from rag.errors import CitadelleError
from rag.logs import request_id
from ui.engine import Engine
from ui.evaluating import Bench, Evaluating, KeptRun, kept_runs, question_files
from ui.evaluation_texts import EVALUATION_TEXTS, EvaluationTexts
from ui.navigation import arrive, bring
from ui.rendering.notices import help_html, notice_html
from ui.texts import InterfaceLanguage, Texts

if TYPE_CHECKING:
    from eval.dataset import Dataset
    from eval.report.glossary import Measure

__all__ = ["draw_evaluation"]

logger = logging.getLogger(__name__)

Page = Literal["run", "comparison"]
Run = Mapping[str, Any]

_POLL_SECONDS: Final = 1.0
# In pixels where the style sheet cannot say a share of the window.
_PAGE_HEIGHT: Final = 800
_MOST_MEGABYTES: Final = 20
# Lists are not searched by typing. The browser moves its highlight to what was typed only after
# it has drawn the matches, and Enter takes what is highlighted: while the page was busy with the
# results, that was another file. Arrow keys move the highlight at once.
_CHOSEN_FROM: Final = None


def draw_evaluation(engine: Engine, texts: Texts) -> None:
    """Draw the choice of questions or how far their asking is, then the results."""
    state = st.session_state
    words = EVALUATION_TEXTS[cast(InterfaceLanguage, state.language)]
    with st.container(key="evaluation"):
        st.html(
            f'<div class="cit-welcome"><h1 class="cit-h1">{words.title}</h1>'
            f"<p>{words.purpose}</p></div>"
        )
        current = _bench().current
        if current is not None and current.running:
            state.watched = current
            _watch(current, texts, words)
        else:
            if current is not None:
                _conclude(current, texts, words)
            _choose(engine, texts, words)
        _draw_results(engine.settings.data, texts, words)
    # What ended is brought into view until the next time the page is turned.
    if state.get("evaluated") == state.get("turned", 0):
        bring("results", f"evaluated {state.evaluations}", said=words.finished)
    else:
        arrive()


@st.cache_resource(show_spinner=False)
def _bench() -> Bench:
    return Bench()


# --- Asking -------------------------------------------------------------------------------


def _choose(engine: Engine, texts: Texts, words: EvaluationTexts) -> None:
    """Let a person choose the questions, and start; say what is wrong with a file."""
    files = {str(file): file for file in question_files(engine.settings.data)}
    labels = _distinct({name: "/".join(file.parts[-2:]) for name, file in files.items()}, str)
    chosen = st.selectbox(
        words.questions,
        (*files, ""),
        format_func=lambda name: labels[name] if name else words.other_file,
        key="questions",
        filter_mode=_CHOSEN_FROM,
        persist_state="session",
    )
    dataset = None
    try:
        dataset = _load(files[chosen]) if chosen else _uploaded(words)
    except CitadelleError as error:
        st.html(notice_html(texts.say(error.message), "error"))
    if dataset is not None:
        asked = words.asked.format(
            count=texts.count(len(dataset.items)),
            unanswerable=texts.count(sum(not item.answerable for item in dataset.items)),
        )
        st.html(help_html(asked))
    st.button(
        words.start,
        key="start",
        type="primary",
        icon=":material/play_arrow:",
        disabled=dataset is None,
        on_click=_start,
        args=(engine, dataset),
    )


def _distinct(labels: Mapping[str, str], longer: Callable[[str], str]) -> dict[str, str]:
    """Return the labels of names, those that others have too with the `longer` form of the name.

    The browser tells by its label what was chosen: of two with the same one is out of reach.
    """
    counts = Counter(labels.values())
    return {
        name: label if counts[label] == 1 else f"{label} ({longer(name)})"
        for name, label in labels.items()
    }


def _load(file: Path, name: str = "") -> Dataset:
    from eval.dataset import load_gold

    return load_gold(file, name)


def _uploaded(words: EvaluationTexts) -> Dataset | None:
    file = st.file_uploader(
        words.upload,
        type=["jsonl", "json", "txt"],
        key="upload",
        max_upload_size=_MOST_MEGABYTES,
    )
    if file is None:
        return None
    name = Path(file.name).name
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "questions.jsonl"
            path.write_bytes(file.getvalue())
            # Where it lies for a moment is no use to whoever has the file.
            return _load(path, name)
    except OSError as error:
        raise CitadelleError(
            "{file}: cannot be read ({problem}).",
            file=name,
            problem=error.strerror or str(error),
        ) from error


def _start(engine: Engine, dataset: Dataset) -> None:
    _bench().start(engine, dataset)


@st.fragment(run_every=_POLL_SECONDS)
def _watch(current: Evaluating, texts: Texts, words: EvaluationTexts) -> None:
    """Show how far an evaluation is, without drawing the rest of the page again."""
    if not current.running:
        st.rerun()
    done, total = current.done, current.total
    label = words.progress.format(done=texts.count(done), total=texts.count(total))
    st.progress(done / total, text=label)
    st.button(
        words.stop,
        key="stop",
        icon=":material/stop:",
        disabled=current.stopping,
        on_click=current.stop,
    )
    st.html(help_html(words.stopping if current.stopping else words.meanwhile))


def _conclude(current: Evaluating, texts: Texts, words: EvaluationTexts) -> None:
    """Say how an evaluation ended; show its results to whoever was watching."""
    state = st.session_state
    if current.stopped:
        done, total = texts.count(current.done), texts.count(current.total)
        st.html(notice_html(words.stopped.format(done=done, total=total)))
    elif current.changed:
        st.html(notice_html(words.changed, "warning"))
    elif current.error is not None:
        st.html(notice_html(words.failed, "error", detail=texts.say(current.error.message)))
    if state.pop("watched", None) is current and current.saved is not None:
        state.shown = str(current.saved)
        state.evaluated = state.get("turned", 0)
        state.evaluations = state.get("evaluations", 0) + 1


# --- Results ------------------------------------------------------------------------------


def _draw_results(data: Path, texts: Texts, words: EvaluationTexts) -> None:
    runs = {str(run.path): run for run in kept_runs(data)}
    st.html(f'<h2 class="cit-h2" id="results">{words.results}</h2>')
    if not runs:
        st.html(notice_html(words.none_yet))
        return
    labels = _distinct(
        {name: _label(run, words) for name, run in runs.items()}, lambda name: Path(name).name
    )
    left, right = st.columns(2)
    shown = left.selectbox(
        words.shown,
        runs,
        format_func=lambda name: labels[name],
        key="shown",
        filter_mode=_CHOSEN_FROM,
        persist_state="session",
    )
    others = ["", *(name for name in runs if name != shown)]
    compared = right.selectbox(
        words.compared,
        others,
        index=others.index(_likely(runs, shown)),
        format_func=lambda name: labels[name] if name else words.with_nothing,
        # Another run has another one before it.
        key=f"compared with {shown}",
        filter_mode=_CHOSEN_FROM,
        persist_state="session",
    )
    try:
        run = _run(shown, _stamp(shown))
        other = _run(compared, _stamp(compared)) if compared else None
    except CitadelleError as error:
        st.html(notice_html(texts.say(error.message), "error"))
        return
    try:
        _draw_figures(run, other, texts, words)
        _draw_page(shown, compared, words)
    except Exception:
        # A file that only looks like a run, or a defect of ours.
        logger.exception("The run %s could not be shown.", shown)
        st.html(
            notice_html(
                words.page_failed, "error", detail=texts.numbered(texts.server_log, request_id())
            )
        )


def _label(run: KeptRun, words: EvaluationTexts) -> str:
    if run.baseline:
        return words.baseline.format(name=run.name)
    return " · ".join(filter(None, (run.when, run.name)))


def _likely(runs: Mapping[str, KeptRun], shown: str) -> str:
    """Return the run of the same questions before the one shown, or their baseline, or none."""
    names = list(runs)
    later = names[names.index(shown) + 1 :]
    return next((name for name in later if runs[name].name == runs[shown].name), "")


def _stamp(name: str) -> int:
    """Return what changes with a file, so that nothing older is shown for it."""
    try:
        return Path(name).stat().st_mtime_ns
    except OSError:
        return 0  # Reading it says what is wrong.


@st.cache_resource(show_spinner=False, max_entries=4)
def _run(name: str, stamp: int) -> Run:
    from eval.runs import load_run

    return load_run(Path(name))


def _draw_figures(run: Run, other: Run | None, texts: Texts, words: EvaluationTexts) -> None:
    from eval.report.glossary import HEADLINES, measure

    counts = run["counts"]["overall"]
    parts = ("items", "answered", "abstained", "errors")
    outcome = words.outcome.format(**{part: texts.count(counts[part]) for part in parts})
    st.html(help_html(outcome))
    if other is not None:
        if _questions(run) != _questions(other):
            st.html(notice_html(words.other_questions, "warning"))
        if _documents(run) != _documents(other):
            st.html(notice_html(words.other_documents, "warning"))
    before = other["measures"]["overall"] if other is not None else {}
    with st.container(key="figures"):
        for name in HEADLINES:
            _draw_figure(
                measure(name), run["measures"]["overall"].get(name), before.get(name), texts, words
            )


def _draw_figure(
    measure: Measure,
    value: float | None,
    before: float | None,
    texts: Texts,
    words: EvaluationTexts,
) -> None:
    label, sentence = words.measures[measure.name]
    change, direction = None, None
    if value is not None and before is not None:
        change = _change(value - before, measure, texts, words)
        improved = (value - before) * measure.better > 0
        direction = (words.better if improved else words.worse) if change else words.same
    st.metric(
        label,
        _amount(value, measure, texts, words) if value is not None else None,
        change,
        delta_color="normal" if measure.better > 0 else "inverse",
        delta_description=direction,
        help=sentence,
        border=True,
        height="stretch",
    )


def _amount(value: float, measure: Measure, texts: Texts, words: EvaluationTexts) -> str:
    if measure.unit == "ms":
        return f"{texts.count(round(value))} ms"
    if measure.unit == "share":
        return words.percent.format(value=_decimal(f"{value * 100:.1f}", texts))
    return _decimal(f"{value:.3f}", texts)


def _change(
    difference: float, measure: Measure, texts: Texts, words: EvaluationTexts
) -> str | Literal[0]:
    """Return a signed change in words; 0 when there is none in the digits that are shown."""
    scale, digits, unit = {
        "share": (100, 1, f" {words.points}"),
        "score": (1, 3, ""),
        "ms": (1, 0, " ms"),
    }[measure.unit]
    rounded = round(difference * scale, digits)
    # An ASCII minus, which is what the widget tells a fall by.
    return _decimal(f"{rounded:+.{digits}f}", texts) + unit if rounded else 0


def _decimal(number: str, texts: Texts) -> str:
    return number.replace(".", texts.decimal_mark)


def _questions(run: Run) -> Any:
    """Return what stands for the questions of a run, whatever their file is called."""
    source = run["config"].get("dataset", {})
    return {name: value for name, value in source.items() if name != "name"}


def _documents(run: Run) -> Any:
    return run["config"].get("manifest", {}).get("corpus_hash")


def _draw_page(shown: str, compared: str, words: EvaluationTexts) -> None:
    """Show the page of the run, or of its comparison, and offer both to keep."""
    labels: dict[Page, str] = {"run": words.run_page, "comparison": words.comparison_page}
    st.html(f'<h2 class="cit-h2">{words.details}</h2>')
    kind: Page = "run"
    with st.container(horizontal=True, vertical_alignment="center"):
        if compared:
            kind = st.segmented_control(
                words.details,
                get_args(Page),
                default="run",
                format_func=lambda page: labels[page],
                key="page",
                required=True,
                label_visibility="collapsed",
            )
        page = _page(kind, shown, _stamp(shown), compared, _stamp(compared) if compared else 0)
        name = Path(shown).stem if kind == "run" else f"{Path(compared).stem} - {Path(shown).stem}"
        st.download_button(
            words.download_page,
            page,
            file_name=f"{name}.html",
            mime="text/html",
            key="download-page",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            words.download_run,
            Path(shown).read_bytes(),
            file_name=Path(shown).name,
            mime="application/json",
            key="download-run",
            icon=":material/download:",
            on_click="ignore",
        )
    # An address that is its own origin: whatever is in the page cannot reach this one.
    address = f"data:text/html;charset=utf-8;base64,{base64.b64encode(page.encode()).decode()}"
    with st.container(key="run-page"):
        st.iframe(address, height=_PAGE_HEIGHT, alt=labels[kind])


@st.cache_data(show_spinner=False, max_entries=8)
def _page(kind: Page, shown: str, stamp: int, compared: str, compared_stamp: int) -> str:
    from eval.report.page import comparison_page, run_page

    run = _run(shown, stamp)
    other = _run(compared, compared_stamp) if compared else None
    if kind == "comparison" and other is not None:
        return comparison_page(other, run)
    return run_page(run, other)
