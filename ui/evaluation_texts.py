"""Every string of the evaluation's view, in French, English and Dutch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ui.texts import InterfaceLanguage, typeset

__all__ = ["EVALUATION_TEXTS", "EvaluationTexts"]


@dataclass(frozen=True, slots=True)
class EvaluationTexts:
    """Hold the strings of one language; words in braces are filled in by the page.

    `measures` gives for each measure its name and, in a sentence, what it is.
    """

    title: str
    purpose: str
    questions: str
    other_file: str
    upload: str
    asked: str
    start: str
    stop: str
    stopping: str
    progress: str
    meanwhile: str
    stopped: str
    changed: str
    failed: str
    finished: str
    results: str
    shown: str
    compared: str
    with_nothing: str
    baseline: str
    none_yet: str
    outcome: str
    other_questions: str
    other_documents: str
    points: str
    better: str
    worse: str
    same: str
    percent: str
    details: str
    run_page: str
    comparison_page: str
    page_failed: str
    download_page: str
    download_run: str
    measures: Mapping[str, tuple[str, str]]


_FRENCH = typeset(
    EvaluationTexts(
        title="Évaluation",
        purpose="Citadelle répond à des questions dont on connaît la réponse ; on compte ce qui "
        "est juste, ce qui est bien cité, et si elle se tait quand les documents ne disent rien.",
        questions="Questions à poser",
        other_file="Un autre fichier…",
        upload="Fichier de questions, un objet JSON par ligne",
        asked="Questions : {count} · sans réponse dans les documents : {unanswerable}",
        start="Lancer l’évaluation",
        stop="Arrêter",
        stopping="Arrêt après la question en cours…",
        progress="Questions posées : {done} sur {total}",
        meanwhile="Elle continue si vous changez de page ou fermez celle-ci.",
        stopped="Arrêtée à la question {done} sur {total}. Ce qui est fait est gardé : relancez "
        "l’évaluation des mêmes questions, elle reprendra là.",
        changed="Les documents ont changé pendant l’évaluation ; relancez-la.",
        failed="L’évaluation n’a pas abouti.",
        finished="L’évaluation est terminée.",
        results="Résultats",
        shown="Évaluation affichée",
        compared="Comparée à",
        with_nothing="Aucune autre",
        baseline="Référence · {name}",
        none_yet="Aucune évaluation n’a encore été faite ici.",
        outcome="Questions : {items} · réponses : {answered} · abstentions : {abstained} "
        "· erreurs : {errors}",
        other_questions="L’autre évaluation posait d’autres questions : les changements affichés "
        "ici ne disent presque rien. La comparaison détaillée s’en tient aux questions communes.",
        other_documents="L’autre évaluation portait sur d’autres documents.",
        points="points",
        better="mieux",
        worse="moins bien",
        same="inchangé",
        percent="{value} %",
        details="Le détail, question par question (en anglais)",
        run_page="Évaluation",
        comparison_page="Comparaison",
        page_failed="Le détail ne peut pas être affiché.",
        download_page="Télécharger la page (HTML)",
        download_run="Télécharger les données (JSON)",
        measures={
            "answer_recall": (
                "Réponses justes",
                "La réponse contient ce qu’on attendait.",
            ),
            "citation_precision": (
                "Citations fondées",
                "Part des citations qui contiennent la preuve ou la réponse attendue.",
            ),
            "citation_recall": (
                "Preuves citées",
                "Part des preuves attendues que la réponse cite.",
            ),
            "R@5": (
                "Preuves trouvées",
                "Part des preuves attendues dans les cinq premiers passages trouvés.",
            ),
            "abstention_F1": (
                "Abstentions à propos",
                "Moyenne harmonique de deux parts : les abstentions qui étaient justifiées, et les "
                "questions sans réponse qui ont été reconnues.",
            ),
            "AURC": (
                "Risque d’erreur",
                "Part d’erreurs en moyenne, quand on répond d’abord aux questions les plus sûres, "
                "puis à de plus en plus d’autres (AURC). Moins, c’est mieux.",
            ),
            "ECE": (
                "Écart de confiance",
                "Écart moyen entre la confiance et la part de réponses justes (ECE). Moins, c’est "
                "mieux.",
            ),
            "latency_p50_ms": (
                "Temps médian",
                "La moitié des réponses arrivent plus vite. Moins, c’est mieux.",
            ),
            "latency_p95_ms": (
                "Temps, 95ᵉ centile",
                "95 % des réponses arrivent plus vite. Moins, c’est mieux.",
            ),
        },
    )
)

_ENGLISH = EvaluationTexts(
    title="Evaluation",
    purpose="Citadelle answers questions whose answer is known; what is counted is how much is "
    "right, how much is well quoted, and whether it keeps silent when the documents say nothing.",
    questions="Questions to ask",
    other_file="Another file…",
    upload="File of questions, one JSON object a line",
    asked="Questions: {count} · without an answer in the documents: {unanswerable}",
    start="Start the evaluation",
    stop="Stop",
    stopping="Stopping after the question in hand…",
    progress="Questions asked: {done} of {total}",
    meanwhile="It goes on when you go to another page or close this one.",
    stopped="Stopped at question {done} of {total}. What is done is kept: start the evaluation of "
    "the same questions again, and it goes on from there.",
    changed="The documents changed during the evaluation; start it again.",
    failed="The evaluation did not succeed.",
    finished="The evaluation is finished.",
    results="Results",
    shown="Evaluation shown",
    compared="Compared with",
    with_nothing="No other",
    baseline="Baseline · {name}",
    none_yet="No evaluation has been made here yet.",
    outcome="Questions: {items} · answers: {answered} · abstentions: {abstained} "
    "· errors: {errors}",
    other_questions="The other evaluation asked other questions: the changes shown here say next "
    "to nothing. The detailed comparison keeps to the questions in common.",
    other_documents="The other evaluation was over other documents.",
    points="points",
    better="better",
    worse="worse",
    same="unchanged",
    percent="{value}%",
    details="The details, question by question",
    run_page="Evaluation",
    comparison_page="Comparison",
    page_failed="The details cannot be shown.",
    download_page="Download the page (HTML)",
    download_run="Download the data (JSON)",
    measures={
        "answer_recall": ("Right answers", "The answer says what was expected."),
        "citation_precision": (
            "Citations that hold",
            "Share of the citations that hold the expected evidence or answer.",
        ),
        "citation_recall": (
            "Evidence cited",
            "Share of the expected evidence that the answer cites.",
        ),
        "R@5": (
            "Evidence found",
            "Share of the expected evidence in the first five passages found.",
        ),
        "abstention_F1": (
            "Apt abstentions",
            "Harmonic mean of two shares: the abstentions that were right, and the questions "
            "without an answer that were recognised.",
        ),
        "AURC": (
            "Risk of error",
            "Share of errors on average, when the surest questions are answered first, then more "
            "and more of the others (AURC). Less is better.",
        ),
        "ECE": (
            "Error of confidence",
            "Mean distance of the confidence from the share of right answers (ECE). Less is "
            "better.",
        ),
        "latency_p50_ms": ("Median time", "Half of the answers come sooner. Less is better."),
        "latency_p95_ms": (
            "Time, 95th percentile",
            "95% of the answers come sooner. Less is better.",
        ),
    },
)

_DUTCH = EvaluationTexts(
    title="Evaluatie",
    purpose="Citadelle beantwoordt vragen waarvan het antwoord bekend is; geteld wordt wat juist "
    "is, wat goed geciteerd is, en of ze zwijgt wanneer de documenten niets zeggen.",
    questions="Vragen om te stellen",
    other_file="Een ander bestand…",
    upload="Bestand met vragen, één JSON-object per regel",
    asked="Vragen: {count} · zonder antwoord in de documenten: {unanswerable}",
    start="De evaluatie starten",
    stop="Stoppen",
    stopping="Stopt na de lopende vraag…",
    progress="Gestelde vragen: {done} van {total}",
    meanwhile="Ze gaat door als u naar een andere pagina gaat of deze sluit.",
    stopped="Gestopt bij vraag {done} van {total}. Wat gedaan is, blijft bewaard: start de "
    "evaluatie van dezelfde vragen opnieuw, dan gaat ze daar verder.",
    changed="De documenten zijn tijdens de evaluatie gewijzigd; start ze opnieuw.",
    failed="De evaluatie is niet gelukt.",
    finished="De evaluatie is klaar.",
    results="Resultaten",
    shown="Getoonde evaluatie",
    compared="Vergeleken met",
    with_nothing="Geen andere",
    baseline="Referentie · {name}",
    none_yet="Hier is nog geen evaluatie gemaakt.",
    outcome="Vragen: {items} · antwoorden: {answered} · onthoudingen: {abstained} "
    "· fouten: {errors}",
    other_questions="De andere evaluatie stelde andere vragen: de verschillen hier zeggen bijna "
    "niets. De gedetailleerde vergelijking houdt zich aan de gemeenschappelijke vragen.",
    other_documents="De andere evaluatie ging over andere documenten.",
    points="punten",
    better="beter",
    worse="slechter",
    same="ongewijzigd",
    percent="{value}%",
    details="De details, vraag per vraag (in het Engels)",
    run_page="Evaluatie",
    comparison_page="Vergelijking",
    page_failed="De details kunnen niet worden getoond.",
    download_page="De pagina downloaden (HTML)",
    download_run="De gegevens downloaden (JSON)",
    measures={
        "answer_recall": ("Juiste antwoorden", "Het antwoord zegt wat werd verwacht."),
        "citation_precision": (
            "Gegronde citaten",
            "Aandeel van de citaten met het verwachte bewijs of antwoord.",
        ),
        "citation_recall": (
            "Geciteerd bewijs",
            "Aandeel van het verwachte bewijs dat het antwoord citeert.",
        ),
        "R@5": (
            "Gevonden bewijs",
            "Aandeel van het verwachte bewijs in de eerste vijf gevonden passages.",
        ),
        "abstention_F1": (
            "Terechte onthoudingen",
            "Harmonisch gemiddelde van twee aandelen: de onthoudingen die terecht waren, en de "
            "vragen zonder antwoord die werden herkend.",
        ),
        "AURC": (
            "Risico op fouten",
            "Gemiddeld aandeel fouten, wanneer eerst de zekerste vragen worden beantwoord en dan "
            "steeds meer andere (AURC). Minder is beter.",
        ),
        "ECE": (
            "Afwijking van de betrouwbaarheid",
            "Gemiddeld verschil tussen de betrouwbaarheid en het aandeel juiste antwoorden (ECE). "
            "Minder is beter.",
        ),
        "latency_p50_ms": (
            "Mediane tijd",
            "De helft van de antwoorden komt sneller. Minder is beter.",
        ),
        "latency_p95_ms": (
            "Tijd, 95e percentiel",
            "95% van de antwoorden komt sneller. Minder is beter.",
        ),
    },
)

EVALUATION_TEXTS: Final[dict[InterfaceLanguage, EvaluationTexts]] = {
    "fr": _FRENCH,
    "en": _ENGLISH,
    "nl": _DUTCH,
}
