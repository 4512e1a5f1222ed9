"""Every string of the interface by its name; what they say stands in `ui/locale`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from rag.config import Settings
from ui.catalogues import InterfaceLanguage, strings, translated

__all__ = [
    "EXAMPLES",
    "LANGUAGE_NAMES",
    "TEXTS",
    "Example",
    "InterfaceLanguage",
    "Texts",
]

# A language is chosen by its own name, whatever the language in force.
LANGUAGE_NAMES: Final[dict[InterfaceLanguage, str]] = {
    "fr": "Français",
    "en": "English",
    "nl": "Nederlands",
}


@dataclass(frozen=True, slots=True)
class Example:
    """A question to click, and the document that must be there for it to make sense."""

    question: str
    language: InterfaceLanguage
    doc_id: str


EXAMPLES: Final = (
    Example("Who represents Belgium in ECCG?", "en", "ccb-relations-internationales.txt"),
    Example("À quoi contribue le Belgian Cyber Command ?", "fr", "belgian-cyber-command.md"),
    Example(
        "Met welk land werkt het CCB samen via Enabel?", "nl", "ccb-relations-internationales.txt"
    ),
    Example("Quelle loi a désigné le CCB comme CSIRT ?", "fr", "ccb-relations-internationales.txt"),
    Example("When was the Belgian Cyber Command created?", "en", "belgian-cyber-command.md"),
    Example(
        "Onder welk ministerie valt het Belgian Cyber Command?", "nl", "belgian-cyber-command.md"
    ),
)


@dataclass(frozen=True, slots=True)
class Texts:
    """Hold the strings of one language; words in braces are filled in by the page."""

    code: InterfaceLanguage
    tagline: str
    language: str
    view: str
    view_questions: str
    view_documents: str
    view_evaluation: str
    new_conversation: str
    welcome_title: str
    welcome_text: str
    examples: str
    see_documents: str
    see_document: str
    placeholder: str
    filters: str
    filters_in_force: str
    filters_clear: str
    filters_none: str
    filter_any: str
    filter_label: str
    filter_document: str
    filter_language: str
    filter_type: str
    filter_tag: str
    filter_country: str
    ask_everywhere: str
    understood: str
    ask_alone: str
    searching: str
    reading_passage: str
    reading_passages: str
    answer_ready: str
    answer_mode: str
    mode_written: str
    mode_quoted: str
    writing: str
    stop: str
    written_by: str
    removed_one: str
    removed_many: str
    not_supported: str
    quotes_instead: str
    consent_title: str
    consent_text: str
    consent_question: str
    consent_passages: str
    consent_kept: str
    consent_asked: str
    consent_yes: str
    consent_no: str
    consent_unkept: str
    opening: str
    stage_encoder: str
    stage_documents: str
    stage_embed: str
    open_failed: str
    no_documents_help: str
    retry: str
    question_empty: str
    question_too_long: str
    unexpected_error: str
    server_log: str
    log_number: str
    page_broken: str
    index_changed: str
    passage: str
    passages: str
    go_to_passage: str
    read_in_source: str
    source: str
    source_close: str
    source_beside: str
    source_gone: str
    place_gone: str
    place_changed: str
    quote_previous: str
    quote_next: str
    quote_place: str
    place_given: str
    place_moved: str
    copy_address: str
    address_copied: str
    property_title: str
    property_type: str
    property_date: str
    property_created: str
    property_modified: str
    perhaps: str
    perhaps_help: str
    confidence_high: str
    confidence_medium: str
    confidence_low: str
    seconds: str
    decimal_mark: str
    thousands_mark: str
    feedback_ask: str
    feedback_right: str
    feedback_wrong: str
    feedback_thanks: str
    feedback_failed: str
    feedback_more: str
    feedback_why: str
    feedback_expected: str
    feedback_comment: str
    feedback_save: str
    reason_not_true: str
    reason_not_asked: str
    reason_incomplete: str
    reason_missing_source: str
    history: str
    history_search: str
    history_none: str
    history_more: str
    history_today: str
    history_yesterday: str
    history_week: str
    history_earlier: str
    history_actions: str
    history_title: str
    history_rename: str
    history_delete: str
    history_deleted: str
    history_undo: str
    history_gone: str
    history_unkept: str
    history_unreadable: str
    export: str
    export_markdown: str
    export_html: str
    export_json: str
    export_made: str
    export_open: str
    export_consulted: str
    export_pending: str
    export_sources: str
    copy: str
    copy_text: str
    copy_markdown: str
    copy_memo: str
    copied: str
    copy_failed: str
    quotation: str
    months: str
    first_of_month: str
    documents_title: str
    documents_help: str
    documents_none: str
    documents_find: str
    document_count: str
    documents_count: str
    documents_shown: str
    documents_indexed: str
    documents_empty: str
    filters_shared: str
    sort: str
    sort_title: str
    sort_name: str
    sort_changed: str
    sort_size: str
    sort_passages: str
    characters: str
    changed_on: str
    properties: str
    ask_only: str
    passages_seen: str
    passages_seen_help: str
    passage_number: str
    passage_place: str
    add: str
    add_drop: str
    add_help: str
    add_start: str
    add_taken: str
    add_choice: str
    add_replace: str
    add_rename: str
    add_skip: str
    index_again: str
    stale: str
    changes_off: str
    change_running: str
    change_failed: str
    change_not_indexed: str
    index_busy: str
    stage_files: str
    added: str
    replaced: str
    unchanged: str
    refused: str
    saved_as: str
    problem_name: str
    problem_format: str
    problem_size: str
    problem_exists: str
    problem_disk: str
    removed: str
    removed_where: str
    restored: str
    index_done: str
    dismiss: str
    remove: str
    remove_title: str
    remove_text: str
    remove_last: str
    cancel: str
    trash: str
    trash_help: str
    trash_removed: str
    trash_replaced: str
    put_back: str
    folder_missing: str
    folder_unreadable: str
    folder_read_only: str
    folder_file: str
    passage_count: str
    passages_count: str
    french: str
    english: str
    dutch: str
    unknown_language: str
    aliases: str
    tags: str
    read: str
    back: str
    add_browse: str
    plain_text: str
    skipped_one: str
    skipped_many: str
    footnote: str
    footnote_remote: str
    footnote_server: str
    footnote_server_remote: str
    this_computer: str
    this_server: str
    login_title: str
    login_help: str
    login: str
    login_refused: str
    login_impossible: str
    logged_in: str
    logout: str

    def name_of(self, language: str) -> str:
        """Return the name of a document's language."""
        names = {"fr": self.french, "en": self.english, "nl": self.dutch}
        return names.get(language, self.unknown_language)

    def here(self, settings: Settings) -> str:
        """Return what a visitor calls the machine that answers."""
        return self.this_server if settings.serves_others else self.this_computer

    def say(self, message: str) -> str:
        """Return a message of the engine in this language, as it is where there are no words."""
        return translated(message, self.code)

    def format_of(self, name: str) -> str:
        """Return what a person calls the format of a file."""
        names = {"markdown": "Markdown", "html": "HTML", "pdf": "PDF", "docx": "Word"}
        return names.get(name, self.plain_text if name == "text" else name)

    def facet(self, name: str) -> str:
        """Return the name of what documents are filtered by."""
        names = {
            "doc": self.filter_document,
            "language": self.filter_language,
            "type": self.filter_type,
            "tag": self.filter_tag,
            "country": self.filter_country,
        }
        return names[name]

    def numbered(self, sentence: str, number: str) -> str:
        """Return a sentence on something that failed, with the number to report it by."""
        return f"{sentence} {self.log_number.format(number=number)}"

    def date(self, day: date) -> str:
        """Write a date in full."""
        number = self.first_of_month if day.day == 1 else str(day.day)
        return f"{number} {self.months.split()[day.month - 1]} {day.year}"

    def count(self, number: int) -> str:
        """Write a whole number with its thousands apart."""
        return f"{number:,}".replace(",", self.thousands_mark)


TEXTS: Final[dict[InterfaceLanguage, Texts]] = {
    language: Texts(code=language, **strings("page", language)) for language in LANGUAGE_NAMES
}
