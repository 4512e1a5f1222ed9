"""The documents of a collection, what was left out, added and taken away, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rag.library import Added, Removed
from rag.types import Skipped, Source
from ui.rendering.notices import labels_html
from ui.texts import Texts

__all__ = ["added_html", "removed_html", "skipped_html", "source_html"]


def source_html(source: Source, texts: Texts, *, labels: bool = True, changed: str = "") -> str:
    """Show what there is to know of a document: its name, language, size and labels.

    `changed` is when its file was last written, as a person writes it.
    """
    count = (
        texts.passage_count
        if source.chunks == 1
        else texts.passages_count.format(count=texts.count(source.chunks))
    )
    facts = [
        texts.format_of(str(source.metadata.get("format", ""))),
        texts.name_of(source.language),
        texts.characters.format(count=texts.count(source.characters)),
        count,
        texts.changed_on.format(when=changed) if changed else "",
    ]
    chips = (
        labels_html(texts.filter_type, source.metadata.get("type", ()))
        + labels_html(texts.aliases, source.metadata.get("aliases", ()))
        + labels_html(texts.tags, source.metadata.get("tags", ()))
        if labels
        else ""
    )
    # On a page of its own, the title is that of the page.
    title = escape(source.title)
    heading = (
        f'<h2 class="cit-title">{title}</h2>' if labels else f'<h1 class="cit-h1">{title}</h1>'
    )
    return (
        f'<section class="cit-source">{heading}'
        f'<div class="cit-path"><code>{escape(source.doc_id)}</code> · '
        f"{escape(' · '.join(fact for fact in facts if fact))}</div>"
        f"{chips}</section>"
    )


def skipped_html(skipped: Sequence[Skipped], texts: Texts) -> str:
    """Show which files could not be read, and why."""
    title = (
        texts.skipped_one
        if len(skipped) == 1
        else texts.skipped_many.format(count=texts.count(len(skipped)))
    )
    lines = "".join(
        f"<li><code>{escape(item.path)}</code> — {escape(texts.say(item.reason))}</li>"
        for item in skipped
    )
    return (
        '<div class="cit-notice cit-notice-warning">'
        f"<div>{escape(title)}</div><ul>{lines}</ul></div>"
    )


def added_html(added: Sequence[Added], texts: Texts, formats: str, megabytes: int) -> str:
    """Show what became of the files that were given, those that were refused with the reason."""
    titles = {
        "added": texts.added,
        "replaced": texts.replaced,
        "unchanged": texts.unchanged,
        "refused": texts.refused,
    }
    problems = {
        "name": texts.problem_name,
        "format": texts.problem_format,
        "size": texts.problem_size,
        "exists": texts.problem_exists,
        "unreadable": "{detail}",
        "disk": texts.problem_disk,
    }
    parts = []
    for status, title in titles.items():
        entries = [entry for entry in added if entry.status == status]
        if not entries:
            continue
        lines = ""
        for entry in entries:
            name = entry.name
            if status != "refused" and entry.doc_id != name:
                name = texts.saved_as.format(name=name, saved=entry.doc_id)
            reason = ""
            if entry.problem:
                words = problems[entry.problem]
                words = words.format(
                    detail=texts.say(entry.detail), formats=formats, size=megabytes
                )
                reason = f" — {escape(words)}"
            lines += f"<li><code>{escape(name)}</code>{reason}</li>"
        parts.append(f"<div>{escape(title)} · {texts.count(len(entries))}</div><ul>{lines}</ul>")
    kind = "warning" if any(entry.status == "refused" for entry in added) else "info"
    return f'<div class="cit-notice cit-notice-{kind}" role="status">{"".join(parts)}</div>'


def removed_html(removed: Removed, when: str, texts: Texts) -> str:
    """Show a file of the trash."""
    words = texts.trash_replaced if removed.replaced else texts.trash_removed
    return (
        f'<div class="cit-path"><code>{escape(removed.doc_id)}</code> · '
        f"{escape(words.format(when=when))}</div>"
    )
