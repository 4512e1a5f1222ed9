"""Every string of the interface, in French, English and Dutch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any, Final, Literal, TypeVar, cast

__all__ = [
    "EXAMPLES",
    "LANGUAGE_NAMES",
    "TEXTS",
    "Example",
    "InterfaceLanguage",
    "Texts",
    "typeset",
]

InterfaceLanguage = Literal["fr", "en", "nl"]

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
    quote_previous: str
    quote_next: str
    quote_place: str
    place_given: str
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
    unread_empty: str
    unread_binary: str
    unread_pdf: str
    unread_scan: str
    unread_locked: str
    unread_word: str
    unread_old_word: str
    unread_no_text: str
    unread_permission: str
    unread_link: str
    unread_folder_link: str
    unread_format: str
    unread_large: str
    add_browse: str
    plain_text: str
    skipped_one: str
    skipped_many: str
    footnote: str
    footnote_remote: str
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

    def unread(self, reason: str) -> str:
        """Return why a file was not read, in this language where it has words for it."""
        known = {
            "is empty": self.unread_empty,
            "not text (binary)": self.unread_binary,
            "is a damaged PDF": self.unread_pdf,
            "has no text layer: needs OCR": self.unread_scan,
            "is encrypted: remove its password": self.unread_locked,
            "is damaged or not a Word document": self.unread_word,
            "is encrypted or in the old Word format": self.unread_old_word,
            "has no text": self.unread_no_text,
            "permission denied": self.unread_permission,
            "is a broken link": self.unread_link,
            "is a link to a folder": self.unread_folder_link,
            "unsupported format": self.unread_format,
            "is too large": self.unread_large,
        }
        # Some go on with a size or a name.
        return next((words for start, words in known.items() if reason.startswith(start)), reason)

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

    def date(self, day: date) -> str:
        """Write a date in full."""
        number = self.first_of_month if day.day == 1 else str(day.day)
        return f"{number} {self.months.split()[day.month - 1]} {day.year}"

    def count(self, number: int) -> str:
        """Write a whole number with its thousands apart."""
        return f"{number:,}".replace(",", self.thousands_mark)


Strings = TypeVar("Strings")


def typeset(texts: Strings) -> Strings:
    """Return French strings, or a record or mapping of them, with spaces that do not break."""
    return cast(Strings, _typeset(texts))


def _typeset(value: Any) -> Any:
    if isinstance(value, str):
        value = re.sub(r" (?=[?!;%])", "\N{NARROW NO-BREAK SPACE}", value)
        return re.sub(r" (?=[:»])|(?<=«) ", "\N{NO-BREAK SPACE}", value)
    if isinstance(value, Mapping):
        return {name: _typeset(text) for name, text in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_typeset, value))
    return replace(
        value, **{item.name: _typeset(getattr(value, item.name)) for item in fields(value)}
    )


_FRENCH = typeset(
    Texts(
        code="fr",
        tagline="Des réponses citées, mot pour mot",
        language="Langue",
        view="Afficher",
        view_questions="Questions",
        view_documents="Documents",
        view_evaluation="Évaluation",
        new_conversation="Nouvelle conversation",
        welcome_title="Interrogez vos documents",
        welcome_text="En français, en anglais ou en néerlandais. "
        "Chaque réponse cite le passage exact dont elle vient. "
        "Quand les documents ne répondent pas, Citadelle le dit.",
        examples="Par exemple",
        see_documents="Voir les {count} documents",
        see_document="Voir le document",
        placeholder="Posez votre question",
        filters="Filtrer les documents",
        filters_in_force="Limité à",
        filters_clear="Effacer les filtres",
        filters_none="Aucun document ne correspond à tous ces filtres ; retirez-en un, "
        "puis posez la question à nouveau.",
        filter_any="Peu importe",
        filter_label="{name} : {value}",
        filter_document="Document",
        filter_language="Langue du document",
        filter_type="Type",
        filter_tag="Étiquette",
        filter_country="Pays",
        ask_everywhere="Poser la question à tous les documents",
        understood="Compris comme : « {question} »",
        ask_alone="Poser la question telle quelle",
        searching="Recherche dans les documents…",
        reading_passage="Lecture d’un passage…",
        reading_passages="Lecture de {count} passages…",
        answer_ready="La réponse est affichée.",
        answer_mode="Forme des réponses",
        mode_written="Réponse rédigée",
        mode_quoted="Citations seules",
        writing="Rédaction et vérification…",
        stop="Arrêter",
        written_by="Rédigé par {model}, chaque phrase vérifiée",
        removed_one="1 phrase n’était pas confirmée par les sources et a été retirée",
        removed_many="{count} phrases n’étaient pas confirmées par les sources et ont été retirées",
        not_supported="non confirmé",
        quotes_instead="La même question, avec des citations seules",
        consent_title="Envoyer cette question à {host} ?",
        consent_text="Le modèle de langue {model} ne tourne pas sur cet ordinateur. Pour rédiger "
        "la réponse, Citadelle enverrait à {host} la question telle qu’elle est comprise et les "
        "passages trouvés pour elle, et ferait de même pour les questions suivantes.",
        consent_question="La question",
        consent_passages="Des passages de",
        consent_kept="Votre accord est retenu pour ce modèle et ce serveur. Sans lui, cette "
        "conversation ne reçoit que des citations, et rien n’est envoyé.",
        consent_asked="Votre accord est demandé avant l’envoi.",
        consent_yes="Envoyer et rédiger",
        consent_no="Citations seules, ne rien envoyer",
        consent_unkept="Votre accord n’a pas pu être retenu ; il vaut jusqu’au rechargement de "
        "la page.",
        opening="Préparation des documents",
        stage_encoder="Préparation de l’encodeur",
        stage_documents="Lecture des documents",
        stage_embed="Indexation des passages",
        open_failed="Les documents ne peuvent pas être interrogés pour l’instant.",
        no_documents_help="Déposez des documents dans le dossier {folder}, "
        "lancez {command}, puis réessayez.",
        retry="Réessayer",
        question_empty="Écrivez une question.",
        question_too_long="Cette question compte {length} caractères ; la limite est de {limit}. "
        "Elle est restée dans la zone de saisie : raccourcissez-la.",
        index_changed="Les documents viennent de changer ; posez la question à nouveau.",
        unexpected_error="Cette question n’a pas pu être traitée ; le détail est dans le journal "
        "du serveur. La conversation est conservée.",
        server_log="Le détail est dans le journal du serveur.",
        passage="Passage cité",
        passages="Passages cités",
        go_to_passage="Citation {key} : la lire dans le document",
        read_in_source="Lire dans le document",
        source="Source",
        source_close="Fermer la source",
        source_beside="Ouvrir la source avec chaque réponse",
        source_gone="Le document {doc} n’est pas ici : il a été renommé ou retiré, "
        "ou cette adresse vient d’ailleurs. La vue Documents montre ceux qu’il y a.",
        place_gone="L’endroit que donne cette adresse n’est plus dans ce document, "
        "qui a sans doute changé. Le voici en entier, sans surlignage.",
        quote_previous="Citation précédente",
        quote_next="Citation suivante",
        quote_place="Citation {place} sur {count}",
        place_given="Passage indiqué par l’adresse",
        copy_address="Copier l’adresse",
        address_copied="Adresse copiée",
        property_title="Titre",
        property_type="Type",
        property_date="Date",
        property_created="Créé",
        property_modified="Modifié",
        perhaps="Les passages les plus proches, qui ne sont pas une réponse",
        perhaps_help="Ils parlent peut-être du sujet, sans répondre assez clairement.",
        confidence_high="Confiance élevée",
        confidence_medium="Confiance moyenne",
        confidence_low="Confiance faible : vérifiez le passage",
        seconds="{seconds} s",
        decimal_mark=",",
        thousands_mark="\N{NARROW NO-BREAK SPACE}",
        feedback_ask="Est-ce juste ?",
        feedback_right="Oui",
        feedback_wrong="Non",
        feedback_thanks="Merci. Votre avis reste sur cet ordinateur.",
        feedback_failed="Votre avis n’a pas pu être enregistré.",
        feedback_more="Préciser",
        feedback_why="Qu’est-ce qui ne va pas ? (facultatif)",
        feedback_expected="Qu’aurait-il fallu répondre ? (facultatif)",
        feedback_comment="Une remarque ? (facultatif)",
        feedback_save="Enregistrer",
        reason_not_true="Ce n’est pas vrai",
        reason_not_asked="Ce n’est pas ma question",
        reason_incomplete="Il en manque",
        reason_missing_source="Le bon document n’est pas cité",
        history="Conversations",
        history_search="Chercher dans les conversations",
        history_none="Aucune conversation ne correspond.",
        history_more="En afficher davantage",
        history_today="Aujourd’hui",
        history_yesterday="Hier",
        history_week="Ces sept derniers jours",
        history_earlier="Plus tôt",
        history_actions="Actions sur « {title} »",
        history_title="Titre de la conversation",
        history_rename="Renommer",
        history_delete="Supprimer",
        history_deleted="Conversation supprimée : {title}",
        history_undo="Annuler la suppression",
        history_gone="Cette conversation n’existe plus ; en voici une nouvelle.",
        history_unkept="Les conversations ne peuvent pas être lues ou conservées.",
        history_unreadable="Cette réponse a été conservée par une autre version de Citadelle "
        "et ne peut plus être lue ; posez la question à nouveau.",
        export="Exporter",
        export_markdown="Markdown",
        export_html="Page à imprimer (HTML)",
        export_json="Données (JSON)",
        export_made="Conversation avec Citadelle, exportée le {date}",
        export_open="Ouvrir le passage",
        export_consulted="consulté le {date}",
        export_pending="Cette question n’a pas encore de réponse.",
        export_sources="Sources",
        copy="Copier",
        copy_text="Texte avec ses sources",
        copy_markdown="Markdown",
        copy_memo="Citation avec notes de bas de page",
        copied="Copié",
        copy_failed="La copie n’a pas été permise par le navigateur.",
        quotation="« {quote} »",
        months="janvier février mars avril mai juin juillet août septembre octobre novembre "
        "décembre",
        first_of_month="1er",
        documents_title="Documents",
        documents_help="Les réponses ne viennent que d’ici.",
        documents_none="Aucun document ne correspond.",
        documents_find="Chercher par titre, nom de fichier ou autre nom",
        document_count="1 document",
        documents_count="{count} documents",
        documents_shown="{shown} sur {count}",
        documents_indexed="indexés le {when}",
        documents_empty="Il n’y a pas encore de document.",
        filters_shared="Ces filtres valent aussi pour les questions.",
        sort="Trier par",
        sort_title="Titre",
        sort_name="Nom de fichier",
        sort_changed="Modification la plus récente",
        sort_size="Taille, la plus grande d’abord",
        sort_passages="Nombre de passages",
        characters="{count} caractères",
        changed_on="modifié le {when}",
        properties="Propriétés",
        ask_only="N’interroger que ce document",
        passages_seen="Les passages tels que le système les voit",
        passages_seen_help="Le document est découpé en passages ; une recherche trouve des "
        "passages, et une réponse cite des phrases qui s’y trouvent. Le texte est celui du "
        "fichier, marques comprises.",
        passage_number="Passage {number}",
        passage_place="caractères {start} à {end}, {count} en tout",
        add="Ajouter des documents",
        add_drop="Déposez des fichiers ici, ou choisissez-les",
        add_help="Formats lus : {formats}. Au plus {size} Mo par fichier. Ils seront enregistrés "
        "dans le dossier {folder}.",
        add_start="Ajouter à la collection",
        add_taken="Des documents portent déjà ces noms : {names}. Que faire ?",
        add_choice="Si le nom est déjà pris",
        add_replace="Remplacer ; l’ancienne version reste dans les documents retirés",
        add_rename="Garder les deux, le nouveau sous un autre nom",
        add_skip="Ne pas les ajouter",
        index_again="Réindexer",
        stale="Des fichiers ont changé depuis la dernière indexation : réindexez pour que les "
        "réponses en tiennent compte.",
        changes_off="Ajouter ou retirer des documents est désactivé sur cette installation.",
        change_running="Un changement est en cours ; recommencez quand il sera terminé.",
        change_failed="Le changement n’a pas pu être fait.",
        change_not_indexed="Les fichiers ont changé, mais l’index n’a pas pu suivre : réindexez "
        "pour que les réponses en tiennent compte.",
        index_busy="Un autre programme est en train d’indexer les documents. Attendez qu’il ait "
        "terminé, puis réessayez.",
        stage_files="Vérification des fichiers",
        added="Ajoutés",
        replaced="Remplacés, l’ancienne version étant gardée dans les documents retirés",
        unchanged="Déjà là, sans changement",
        refused="Pas ajoutés",
        saved_as="{name}, enregistré sous {saved}",
        problem_name="ce nom ne peut pas être celui d’un fichier ; renommez-le",
        problem_format="ce format n’est pas lu ; convertissez le fichier en {formats}",
        problem_size="trop grand : {detail} Mo, la limite est de {size} Mo",
        problem_exists="un document porte déjà ce nom",
        problem_disk="n’a pas pu être enregistré ({detail})",
        removed="{name} est retiré, et ne sera plus cité.",
        removed_where="Le fichier est dans {folder} ; « Documents retirés », au bas de cette page, "
        "permet de le remettre.",
        restored="{name} est de retour.",
        index_done="L’index est à jour. Documents ajoutés : {added}, remplacés : {replaced}, "
        "retirés : {removed}, inchangés : {unchanged}.",
        dismiss="Masquer ce compte rendu",
        remove="Retirer",
        remove_title="Retirer ce document ?",
        remove_text="« {title} » ne sera plus cité dans les réponses. Son fichier, {name}, n’est "
        "pas supprimé : il est déplacé dans {folder}, et « Documents retirés » permet de le "
        "remettre.",
        cancel="Annuler",
        trash="Documents retirés",
        trash_help="Ces fichiers restent dans {folder} jusqu’à ce que quelqu’un les y efface.",
        trash_removed="retiré le {when}",
        trash_replaced="version remplacée le {when}",
        put_back="Remettre",
        folder_missing="Le dossier {folder} n’existe pas ; il sera créé au premier ajout.",
        folder_unreadable="Le dossier {folder} ne peut pas être lu ; donnez à Citadelle le droit "
        "de le lire, puis réindexez.",
        folder_read_only="Rien ne peut être ajouté ici : Citadelle n’a pas le droit d’écrire dans "
        "le dossier {folder}.",
        folder_file="Rien ne peut être ajouté ici : les documents sont le seul fichier {folder}, "
        "et non un dossier.",
        passage_count="1 passage",
        passages_count="{count} passages",
        french="français",
        english="anglais",
        dutch="néerlandais",
        unknown_language="langue indéterminée",
        aliases="Aussi appelé",
        tags="Étiquettes",
        read="Lire le document",
        back="Retour aux documents",
        unread_empty="est vide",
        unread_binary="n’est pas du texte",
        unread_pdf="est un PDF endommagé",
        unread_scan="est une image sans texte : passez-le par une reconnaissance de caractères",
        unread_locked="est protégé : retirez son mot de passe",
        unread_word="est endommagé, ou n’est pas un document Word",
        unread_old_word="est protégé ou dans l’ancien format de Word : enregistrez-le en .docx "
        "sans mot de passe",
        unread_no_text="ne contient pas de texte",
        unread_permission="ne peut pas être ouvert : il manque le droit de le lire",
        unread_link="est un lien qui ne mène nulle part",
        unread_folder_link="est un lien vers un dossier, qui n’est pas suivi",
        unread_format="est d’un format qui n’est pas lu",
        unread_large="est trop grand",
        add_browse="Parcourir",
        plain_text="texte",
        skipped_one="1 document n’a pas pu être lu",
        skipped_many="{count} documents n’ont pas pu être lus",
        footnote="Tout se passe sur cet ordinateur.",
        footnote_remote="Rien ne quitte cet ordinateur sans votre accord : le modèle de langue "
        "qui rédige les réponses est sur {host}.",
        login_title="Connexion",
        login_help="Ces documents sont réservés : connectez-vous pour les interroger.",
        login="Se connecter",
        login_refused="Vous êtes connecté en tant que {name}, et ce compte n’a pas accès à ces "
        "documents. Demandez l’accès à la personne qui gère Citadelle, ou déconnectez-vous pour "
        "prendre un autre compte.",
        login_impossible="Personne ne peut se connecter pour l’instant.",
        logged_in="Connecté en tant que {name}",
        logout="Se déconnecter",
    )
)

_ENGLISH = Texts(
    code="en",
    tagline="Answers with their source, word for word",
    language="Language",
    view="Show",
    view_questions="Questions",
    view_documents="Documents",
    view_evaluation="Evaluation",
    new_conversation="New conversation",
    welcome_title="Ask your documents",
    welcome_text="In French, English or Dutch. "
    "Every answer quotes the exact passage it comes from. "
    "When the documents do not answer, Citadelle says so.",
    examples="For example",
    see_documents="See the {count} documents",
    see_document="See the document",
    placeholder="Ask your question",
    filters="Filter the documents",
    filters_in_force="Limited to",
    filters_clear="Clear the filters",
    filters_none="No document matches all of these filters; remove one, "
    "then ask the question again.",
    filter_any="Any",
    filter_label="{name}: {value}",
    filter_document="Document",
    filter_language="Language of the document",
    filter_type="Type",
    filter_tag="Tag",
    filter_country="Country",
    ask_everywhere="Ask all documents",
    understood="Understood as: “{question}”",
    ask_alone="Ask it as written",
    searching="Searching the documents…",
    reading_passage="Reading 1 passage…",
    reading_passages="Reading {count} passages…",
    answer_ready="The answer is shown.",
    answer_mode="Form of the answers",
    mode_written="Written answer",
    mode_quoted="Quotes only",
    writing="Writing and checking…",
    stop="Stop",
    written_by="Written by {model}, every sentence checked",
    removed_one="1 sentence was not supported by the sources and left out",
    removed_many="{count} sentences were not supported by the sources and left out",
    not_supported="not supported",
    quotes_instead="The same question answered by quotes only",
    consent_title="Send this question to {host}?",
    consent_text="The language model {model} does not run on this computer. To write the answer, "
    "Citadelle would send to {host} the question as it is understood and the passages found for "
    "it, and would do the same for the questions that follow.",
    consent_question="The question",
    consent_passages="Passages from",
    consent_kept="Your consent is remembered for this model and this server. Without it, this "
    "conversation gets quotes only, and nothing is sent.",
    consent_asked="Your consent is asked before anything is sent.",
    consent_yes="Send and write",
    consent_no="Quotes only, send nothing",
    consent_unkept="Your consent could not be remembered; it holds until the page is loaded again.",
    opening="Preparing the documents",
    stage_encoder="Preparing the encoder",
    stage_documents="Reading the documents",
    stage_embed="Indexing the passages",
    open_failed="The documents cannot be asked right now.",
    no_documents_help="Put documents in the folder {folder}, run {command}, then try again.",
    retry="Try again",
    question_empty="Write a question.",
    question_too_long="This question has {length} characters; the limit is {limit}. "
    "It is still in the box: please shorten it.",
    index_changed="The documents have just changed; ask the question again.",
    unexpected_error="This question could not be handled; the server’s log has the details. "
    "The conversation is kept.",
    server_log="The server’s log has the details.",
    passage="Quoted passage",
    passages="Quoted passages",
    go_to_passage="Quote {key}: read it in the document",
    read_in_source="Read in the document",
    source="Source",
    source_close="Close the source",
    source_beside="Open the source with every answer",
    source_gone="The document {doc} is not here: it was renamed or removed, "
    "or this address comes from elsewhere. The Documents view shows those there are.",
    place_gone="The place that this address gives is no longer in this document, "
    "which has probably changed. Here is all of it, without a highlight.",
    quote_previous="Previous quote",
    quote_next="Next quote",
    quote_place="Quote {place} of {count}",
    place_given="Passage that the address gives",
    copy_address="Copy the address",
    address_copied="Address copied",
    property_title="Title",
    property_type="Type",
    property_date="Date",
    property_created="Created",
    property_modified="Modified",
    perhaps="The nearest passages, which are not an answer",
    perhaps_help="They may be about the subject, without answering clearly enough.",
    confidence_high="High confidence",
    confidence_medium="Medium confidence",
    confidence_low="Low confidence: check the passage",
    seconds="{seconds} s",
    decimal_mark=".",
    thousands_mark=",",
    feedback_ask="Is this right?",
    feedback_right="Yes",
    feedback_wrong="No",
    feedback_thanks="Thank you. What you said stays on this computer.",
    feedback_failed="What you said could not be stored.",
    feedback_more="Say more",
    feedback_why="What is wrong? (optional)",
    feedback_expected="What would have been right? (optional)",
    feedback_comment="Any remark? (optional)",
    feedback_save="Save",
    reason_not_true="It is not true",
    reason_not_asked="It is not what I asked",
    reason_incomplete="Something is missing",
    reason_missing_source="The right document is not quoted",
    history="Conversations",
    history_search="Search the conversations",
    history_none="No conversation matches.",
    history_more="Show more",
    history_today="Today",
    history_yesterday="Yesterday",
    history_week="The last seven days",
    history_earlier="Earlier",
    history_actions="Actions on “{title}”",
    history_title="Title of the conversation",
    history_rename="Rename",
    history_delete="Delete",
    history_deleted="Conversation deleted: {title}",
    history_undo="Undo the deletion",
    history_gone="This conversation is no longer there; here is a new one.",
    history_unkept="The conversations cannot be read or kept.",
    history_unreadable="This answer was kept by another version of Citadelle and can no longer "
    "be read; ask the question again.",
    export="Export",
    export_markdown="Markdown",
    export_html="Page to print (HTML)",
    export_json="Data (JSON)",
    export_made="Conversation with Citadelle, exported on {date}",
    export_open="Open the passage",
    export_consulted="consulted on {date}",
    export_pending="This question has no answer yet.",
    export_sources="Sources",
    copy="Copy",
    copy_text="Text with its sources",
    copy_markdown="Markdown",
    copy_memo="Quotation with footnotes",
    copied="Copied",
    copy_failed="The browser did not allow the copy.",
    quotation="“{quote}”",
    months="January February March April May June July August September October November December",
    first_of_month="1",
    documents_title="Documents",
    documents_help="Answers come from here and nowhere else.",
    documents_none="No document matches.",
    documents_find="Search by title, file name or other name",
    document_count="1 document",
    documents_count="{count} documents",
    documents_shown="{shown} of {count}",
    documents_indexed="indexed {when}",
    documents_empty="There are no documents yet.",
    filters_shared="These filters apply to questions too.",
    sort="Sort by",
    sort_title="Title",
    sort_name="File name",
    sort_changed="Latest change",
    sort_size="Size, largest first",
    sort_passages="Number of passages",
    characters="{count} characters",
    changed_on="changed {when}",
    properties="Properties",
    ask_only="Ask only this document",
    passages_seen="The passages as the system sees them",
    passages_seen_help="The document is cut into passages; a search finds passages, and an answer "
    "quotes sentences in them. The text is that of the file, marks included.",
    passage_number="Passage {number}",
    passage_place="characters {start} to {end}, {count} in all",
    add="Add documents",
    add_drop="Drop files here, or choose them",
    add_help="Formats that are read: {formats}. At most {size} MB a file. They are stored in the "
    "folder {folder}.",
    add_start="Add to the collection",
    add_taken="Documents have these names already: {names}. What should be done?",
    add_choice="If the name is taken",
    add_replace="Replace; the earlier version stays among the removed documents",
    add_rename="Keep both, the new one under another name",
    add_skip="Do not add them",
    index_again="Index again",
    stale="Files have changed since they were last indexed: index again for answers to follow.",
    changes_off="Adding and removing documents is switched off on this installation.",
    change_running="A change is under way; try again when it is done.",
    change_failed="The change could not be made.",
    change_not_indexed="The files have changed, but the index could not follow: index again for "
    "answers to follow.",
    index_busy="Another program is indexing the documents. Wait until it is done, then try again.",
    stage_files="Checking the files",
    added="Added",
    replaced="Replaced, the earlier version kept among the removed documents",
    unchanged="Already there, unchanged",
    refused="Not added",
    saved_as="{name}, stored as {saved}",
    problem_name="this cannot be the name of a file; rename it",
    problem_format="this format is not read; convert the file to {formats}",
    problem_size="too large: {detail} MB, the limit is {size} MB",
    problem_exists="a document has this name already",
    problem_disk="could not be stored ({detail})",
    removed="{name} is removed and will not be quoted any more.",
    removed_where="The file is in {folder}; “Removed documents”, at the end of this page, puts it "
    "back.",
    restored="{name} is back.",
    index_done="The index is up to date. Documents added: {added}, replaced: {replaced}, removed: "
    "{removed}, unchanged: {unchanged}.",
    dismiss="Hide this report",
    remove="Remove",
    remove_title="Remove this document?",
    remove_text="“{title}” will not be quoted in answers any more. Its file, {name}, is not "
    "deleted: it is moved to {folder}, and “Removed documents” puts it back.",
    cancel="Cancel",
    trash="Removed documents",
    trash_help="These files stay in {folder} until somebody deletes them there.",
    trash_removed="removed {when}",
    trash_replaced="version replaced {when}",
    put_back="Put back",
    folder_missing="The folder {folder} does not exist; it is made when something is added.",
    folder_unreadable="The folder {folder} cannot be read; give Citadelle the right to read it, "
    "then index again.",
    folder_read_only="Nothing can be added here: Citadelle may not write into the folder {folder}.",
    folder_file="Nothing can be added here: the documents are the single file {folder}, not a "
    "folder.",
    passage_count="1 passage",
    passages_count="{count} passages",
    french="French",
    english="English",
    dutch="Dutch",
    unknown_language="language not determined",
    aliases="Also called",
    tags="Tags",
    read="Read the document",
    back="Back to the documents",
    unread_empty="is empty",
    unread_binary="is not text",
    unread_pdf="is a damaged PDF",
    unread_scan="is a picture without text: it needs character recognition (OCR)",
    unread_locked="is encrypted: remove its password",
    unread_word="is damaged or not a Word document",
    unread_old_word="is encrypted or in the old Word format: save it as .docx without a password",
    unread_no_text="has no text",
    unread_permission="cannot be opened: the right to read it is missing",
    unread_link="is a broken link",
    unread_folder_link="is a link to a folder, which is not followed",
    unread_format="is of a format that is not read",
    unread_large="is too large",
    add_browse="Browse",
    plain_text="text",
    skipped_one="1 document could not be read",
    skipped_many="{count} documents could not be read",
    footnote="Everything happens on this computer.",
    footnote_remote="Nothing leaves this computer without your consent: the language model that "
    "writes the answers is on {host}.",
    login_title="Log in",
    login_help="These documents are not for everyone: log in to ask them.",
    login="Log in",
    login_refused="You are logged in as {name}, and this account may not see these documents. "
    "Ask whoever runs Citadelle for access, or log out to use another account.",
    login_impossible="Nobody can log in right now.",
    logged_in="Logged in as {name}",
    logout="Log out",
)

_DUTCH = Texts(
    code="nl",
    tagline="Antwoorden met hun bron, woord voor woord",
    language="Taal",
    view="Tonen",
    view_questions="Vragen",
    view_documents="Documenten",
    view_evaluation="Evaluatie",
    new_conversation="Nieuw gesprek",
    welcome_title="Bevraag uw documenten",
    welcome_text="In het Frans, Engels of Nederlands. "
    "Elk antwoord citeert de exacte passage waaruit het komt. "
    "Als de documenten geen antwoord geven, zegt Citadelle dat.",
    examples="Bijvoorbeeld",
    see_documents="De {count} documenten bekijken",
    see_document="Het document bekijken",
    placeholder="Stel uw vraag",
    filters="Documenten filteren",
    filters_in_force="Beperkt tot",
    filters_clear="Filters wissen",
    filters_none="Geen enkel document voldoet aan al deze filters; verwijder er een "
    "en stel de vraag opnieuw.",
    filter_any="Maakt niet uit",
    filter_label="{name}: {value}",
    filter_document="Document",
    filter_language="Taal van het document",
    filter_type="Type",
    filter_tag="Label",
    filter_country="Land",
    ask_everywhere="De vraag aan alle documenten stellen",
    understood="Begrepen als: ‘{question}’",
    ask_alone="Stel de vraag zoals ze er staat",
    searching="De documenten worden doorzocht…",
    reading_passage="1 passage wordt gelezen…",
    reading_passages="{count} passages worden gelezen…",
    answer_ready="Het antwoord staat op het scherm.",
    answer_mode="Vorm van de antwoorden",
    mode_written="Geschreven antwoord",
    mode_quoted="Alleen citaten",
    writing="Schrijven en controleren…",
    stop="Stoppen",
    written_by="Geschreven door {model}, elke zin gecontroleerd",
    removed_one="1 zin werd niet bevestigd door de bronnen en is weggelaten",
    removed_many="{count} zinnen werden niet bevestigd door de bronnen en zijn weggelaten",
    not_supported="niet bevestigd",
    quotes_instead="Dezelfde vraag, met alleen citaten",
    consent_title="Deze vraag naar {host} sturen?",
    consent_text="Het taalmodel {model} draait niet op deze computer. Om het antwoord te "
    "schrijven zou Citadelle de vraag zoals die is begrepen en de passages die ervoor zijn "
    "gevonden naar {host} sturen, en hetzelfde doen voor de volgende vragen.",
    consent_question="De vraag",
    consent_passages="Passages uit",
    consent_kept="Uw toestemming wordt onthouden voor dit model en deze server. Zonder "
    "toestemming krijgt dit gesprek alleen citaten, en wordt er niets verstuurd.",
    consent_asked="Er wordt om toestemming gevraagd voordat er iets wordt verstuurd.",
    consent_yes="Versturen en schrijven",
    consent_no="Alleen citaten, niets versturen",
    consent_unkept="Uw toestemming kon niet worden onthouden; ze geldt tot de pagina opnieuw "
    "wordt geladen.",
    opening="De documenten worden voorbereid",
    stage_encoder="De encoder wordt voorbereid",
    stage_documents="De documenten worden gelezen",
    stage_embed="De passages worden geïndexeerd",
    open_failed="De documenten kunnen nu niet worden bevraagd.",
    no_documents_help="Zet documenten in de map {folder}, voer {command} uit en probeer opnieuw.",
    retry="Opnieuw proberen",
    question_empty="Schrijf een vraag.",
    question_too_long="Deze vraag telt {length} tekens; de limiet is {limit}. "
    "Ze staat nog in het invoerveld: maak ze korter.",
    index_changed="De documenten zijn zojuist gewijzigd; stel de vraag opnieuw.",
    unexpected_error="Deze vraag kon niet worden verwerkt; de details staan in het logboek van "
    "de server. Het gesprek blijft bewaard.",
    server_log="De details staan in het logboek van de server.",
    passage="Geciteerde passage",
    passages="Geciteerde passages",
    go_to_passage="Citaat {key}: lezen in het document",
    read_in_source="Lezen in het document",
    source="Bron",
    source_close="De bron sluiten",
    source_beside="De bron bij elk antwoord openen",
    source_gone="Het document {doc} is er niet: het kreeg een andere naam of is verwijderd, "
    "of dit adres komt van elders. Onder Documenten staat wat er wel is.",
    place_gone="De plaats die dit adres aangeeft, staat niet meer in dit document, "
    "dat wellicht is gewijzigd. Hier staat het volledig, zonder markering.",
    quote_previous="Vorig citaat",
    quote_next="Volgend citaat",
    quote_place="Citaat {place} van {count}",
    place_given="Passage die het adres aangeeft",
    copy_address="Adres kopiëren",
    address_copied="Adres gekopieerd",
    property_title="Titel",
    property_type="Type",
    property_date="Datum",
    property_created="Gemaakt",
    property_modified="Gewijzigd",
    perhaps="De dichtstbijzijnde passages, die geen antwoord zijn",
    perhaps_help="Ze gaan misschien over het onderwerp, zonder duidelijk genoeg te antwoorden.",
    confidence_high="Hoge betrouwbaarheid",
    confidence_medium="Gemiddelde betrouwbaarheid",
    confidence_low="Lage betrouwbaarheid: controleer de passage",
    seconds="{seconds} s",
    decimal_mark=",",
    thousands_mark=".",
    feedback_ask="Klopt dit?",
    feedback_right="Ja",
    feedback_wrong="Nee",
    feedback_thanks="Bedankt. Uw mening blijft op deze computer.",
    feedback_failed="Uw mening kon niet worden bewaard.",
    feedback_more="Meer zeggen",
    feedback_why="Wat klopt er niet? (niet verplicht)",
    feedback_expected="Wat had het antwoord moeten zijn? (niet verplicht)",
    feedback_comment="Een opmerking? (niet verplicht)",
    feedback_save="Bewaren",
    reason_not_true="Het is niet waar",
    reason_not_asked="Het is niet wat ik vroeg",
    reason_incomplete="Er ontbreekt iets",
    reason_missing_source="Het juiste document wordt niet geciteerd",
    history="Gesprekken",
    history_search="Zoeken in de gesprekken",
    history_none="Geen enkel gesprek komt overeen.",
    history_more="Meer tonen",
    history_today="Vandaag",
    history_yesterday="Gisteren",
    history_week="De afgelopen zeven dagen",
    history_earlier="Eerder",
    history_actions="Acties voor “{title}”",
    history_title="Titel van het gesprek",
    history_rename="Hernoemen",
    history_delete="Verwijderen",
    history_deleted="Gesprek verwijderd: {title}",
    history_undo="Verwijderen ongedaan maken",
    history_gone="Dit gesprek bestaat niet meer; hier is een nieuw.",
    history_unkept="De gesprekken kunnen niet worden gelezen of bewaard.",
    history_unreadable="Dit antwoord werd bewaard door een andere versie van Citadelle en kan "
    "niet meer worden gelezen; stel de vraag opnieuw.",
    export="Exporteren",
    export_markdown="Markdown",
    export_html="Pagina om af te drukken (HTML)",
    export_json="Gegevens (JSON)",
    export_made="Gesprek met Citadelle, geëxporteerd op {date}",
    export_open="De passage openen",
    export_consulted="geraadpleegd op {date}",
    export_pending="Deze vraag heeft nog geen antwoord.",
    export_sources="Bronnen",
    copy="Kopiëren",
    copy_text="Tekst met bronnen",
    copy_markdown="Markdown",
    copy_memo="Citaat met voetnoten",
    copied="Gekopieerd",
    copy_failed="De browser stond het kopiëren niet toe.",
    quotation="“{quote}”",
    months="januari februari maart april mei juni juli augustus september oktober november "
    "december",
    first_of_month="1",
    documents_title="Documenten",
    documents_help="De antwoorden komen alleen hiervandaan.",
    documents_none="Geen enkel document komt overeen.",
    documents_find="Zoeken op titel, bestandsnaam of andere naam",
    document_count="1 document",
    documents_count="{count} documenten",
    documents_shown="{shown} van {count}",
    documents_indexed="geïndexeerd op {when}",
    documents_empty="Er zijn nog geen documenten.",
    filters_shared="Deze filters gelden ook voor de vragen.",
    sort="Sorteren op",
    sort_title="Titel",
    sort_name="Bestandsnaam",
    sort_changed="Laatste wijziging",
    sort_size="Grootte, grootste eerst",
    sort_passages="Aantal passages",
    characters="{count} tekens",
    changed_on="gewijzigd op {when}",
    properties="Eigenschappen",
    ask_only="Alleen dit document bevragen",
    passages_seen="De passages zoals het systeem ze ziet",
    passages_seen_help="Het document is in passages verdeeld; een zoekopdracht vindt passages, en "
    "een antwoord citeert zinnen eruit. De tekst is die van het bestand, met de opmaaktekens.",
    passage_number="Passage {number}",
    passage_place="tekens {start} tot {end}, {count} in totaal",
    add="Documenten toevoegen",
    add_drop="Sleep bestanden hierheen of kies ze",
    add_help="Formaten die gelezen worden: {formats}. Hoogstens {size} MB per bestand. Ze worden "
    "bewaard in de map {folder}.",
    add_start="Aan de verzameling toevoegen",
    add_taken="Er zijn al documenten met deze namen: {names}. Wat moet er gebeuren?",
    add_choice="Als de naam al bestaat",
    add_replace="Vervangen; de vorige versie blijft bij de verwijderde documenten",
    add_rename="Beide bewaren, het nieuwe onder een andere naam",
    add_skip="Ze niet toevoegen",
    index_again="Opnieuw indexeren",
    stale="Er zijn bestanden gewijzigd sinds de laatste indexering: indexeer opnieuw zodat de "
    "antwoorden volgen.",
    changes_off="Documenten toevoegen of verwijderen is uitgeschakeld op deze installatie.",
    change_running="Er is een wijziging bezig; probeer opnieuw als ze klaar is.",
    change_failed="De wijziging kon niet worden uitgevoerd.",
    change_not_indexed="De bestanden zijn gewijzigd, maar de index kon niet volgen: indexeer "
    "opnieuw zodat de antwoorden volgen.",
    index_busy="Een ander programma is de documenten aan het indexeren. Wacht tot het klaar is en "
    "probeer dan opnieuw.",
    stage_files="De bestanden worden nagekeken",
    added="Toegevoegd",
    replaced="Vervangen, met de vorige versie bij de verwijderde documenten",
    unchanged="Al aanwezig, ongewijzigd",
    refused="Niet toegevoegd",
    saved_as="{name}, bewaard als {saved}",
    problem_name="dit kan geen bestandsnaam zijn; geef een andere naam",
    problem_format="dit formaat wordt niet gelezen; zet het bestand om naar {formats}",
    problem_size="te groot: {detail} MB, de limiet is {size} MB",
    problem_exists="er is al een document met deze naam",
    problem_disk="kon niet worden bewaard ({detail})",
    removed="{name} is verwijderd en wordt niet meer geciteerd.",
    removed_where="Het bestand staat in {folder}; met ‘Verwijderde documenten’, onderaan deze "
    "pagina, zet u het terug.",
    restored="{name} is terug.",
    index_done="De index is bijgewerkt. Documenten toegevoegd: {added}, vervangen: {replaced}, "
    "verwijderd: {removed}, ongewijzigd: {unchanged}.",
    dismiss="Dit verslag verbergen",
    remove="Verwijderen",
    remove_title="Dit document verwijderen?",
    remove_text="‘{title}’ wordt niet meer geciteerd in antwoorden. Het bestand, {name}, wordt "
    "niet gewist: het gaat naar {folder}, en met ‘Verwijderde documenten’ zet u het terug.",
    cancel="Annuleren",
    trash="Verwijderde documenten",
    trash_help="Deze bestanden blijven in {folder} tot iemand ze daar wist.",
    trash_removed="verwijderd op {when}",
    trash_replaced="versie vervangen op {when}",
    put_back="Terugzetten",
    folder_missing="De map {folder} bestaat niet; ze wordt gemaakt zodra er iets wordt toegevoegd.",
    folder_unreadable="De map {folder} kan niet worden gelezen; geef Citadelle leesrechten en "
    "indexeer dan opnieuw.",
    folder_read_only="Hier kan niets worden toegevoegd: Citadelle mag niet schrijven in de map "
    "{folder}.",
    folder_file="Hier kan niets worden toegevoegd: de documenten zijn het enige bestand {folder}, "
    "geen map.",
    passage_count="1 passage",
    passages_count="{count} passages",
    french="Frans",
    english="Engels",
    dutch="Nederlands",
    unknown_language="taal onbekend",
    aliases="Ook genoemd",
    tags="Labels",
    read="Het document lezen",
    back="Terug naar de documenten",
    unread_empty="is leeg",
    unread_binary="is geen tekst",
    unread_pdf="is een beschadigde pdf",
    unread_scan="is een afbeelding zonder tekst: laat er tekenherkenning (OCR) op los",
    unread_locked="is beveiligd: verwijder het wachtwoord",
    unread_word="is beschadigd of geen Word-document",
    unread_old_word="is beveiligd of in het oude Word-formaat: bewaar het als .docx zonder "
    "wachtwoord",
    unread_no_text="bevat geen tekst",
    unread_permission="kan niet worden geopend: leesrechten ontbreken",
    unread_link="is een koppeling die nergens heen leidt",
    unread_folder_link="is een koppeling naar een map, die niet wordt gevolgd",
    unread_format="heeft een formaat dat niet wordt gelezen",
    unread_large="is te groot",
    add_browse="Bladeren",
    plain_text="tekst",
    skipped_one="1 document kon niet worden gelezen",
    skipped_many="{count} documenten konden niet worden gelezen",
    footnote="Alles gebeurt op deze computer.",
    footnote_remote="Niets verlaat deze computer zonder uw toestemming: het taalmodel dat de "
    "antwoorden schrijft, staat op {host}.",
    login_title="Aanmelden",
    login_help="Deze documenten zijn niet voor iedereen: meld u aan om ze te bevragen.",
    login="Aanmelden",
    login_refused="U bent aangemeld als {name}, en dit account heeft geen toegang tot deze "
    "documenten. Vraag toegang aan wie Citadelle beheert, of meld u af om een ander account te "
    "gebruiken.",
    login_impossible="Niemand kan zich op dit moment aanmelden.",
    logged_in="Aangemeld als {name}",
    logout="Afmelden",
)

TEXTS: Final[dict[InterfaceLanguage, Texts]] = {"fr": _FRENCH, "en": _ENGLISH, "nl": _DUTCH}
