"""What people type, and what it asks for, in three languages."""

from __future__ import annotations

import pytest

from rag.questions import Asks, asked_for, asked_key, lacks_form, names, wants_list

ASKED_FOR: dict[Asks, tuple[str, ...]] = {
    "place": (
        "Où siège le Belgian Cyber Command ?",
        "ou est le quartier general",
        "Où se trouve l'ENISA ?",
        "Dans quel pays est le siège ?",
        "Dans quelle ville siège le centre d'excellence ?",
        "Where is the BCC based?",
        "where are the headquarters of ENISA",
        "Which city hosts the centre?",
        "Waar is het BCC gevestigd?",
        "In welke stad zit het centrum?",
        "In welk land ligt het?",
    ),
    "date": (
        "Quand le BCC a-t-il été créé ?",
        "En quelle année la loi NIS a-t-elle été adoptée ?",
        "De quand date la loi ?",
        "À quelle date la directive entre-t-elle en vigueur ?",
        "Date de création du BCC ?",
        "Quand et où a-t-il été créé ?",
        "When was the BCC created?",
        "What year was it founded?",
        "Since when does it exist?",
        "Wanneer werd het BCC opgericht?",
        "In welk jaar werd ENISA opgericht?",
        "Sinds wanneer bestaat het?",
    ),
    "number": (
        "Combien de centres de coordination y a-t-il ?",
        "Combien de temps dure la procédure ?",
        "Quel âge faut-il avoir ?",
        "Quel est le nombre de centres ?",
        "How many centres are there?",
        "How often is Cyber Europe organised?",
        "Hoeveel centra zijn er?",
        "Hoe vaak wordt Cyber Europe georganiseerd?",
    ),
    "amount": (
        "Quel est le budget du BCC ?",
        "Combien coûte un passeport ?",
        "Combien d'argent reçoit Enabel ?",
        "Quel est le montant de l'aide ?",
        "How much does it cost?",
        "What is the salary of the director?",
        "Hoeveel kost een paspoort?",
        "Wat is het budget van het BCC?",
    ),
    "person": (
        "Qui est le directeur général du CCB ?",
        "Comment s'appelle le directeur du CCB ?",
        "Qui dirige le CCB ?",
        "Who is the director of the CCB?",
        "Who leads the BCC?",
        "What is the name of the minister?",
        "Wie is de directeur van het CCB?",
        "Wie leidt het BCC?",
        "Hoe heet de directeur van het CCB?",
        "Wie is de Belgische ambassadeur bij de OVSE?",
    ),
    "expansion": (
        "Que signifie ECCG ?",
        "Que veut dire NCCA-BE ?",
        "sigle CSIRT",
        "What does ECSO stand for?",
        "What is the meaning of NIS?",
        "Waar staat NIS voor?",
        "Wat betekent CSIRT?",
    ),
    "alias": (
        "Quels sont les autres noms du BCC ?",
        "Comment le BCC est-il aussi appelé ?",
        "Quel est le nom complet du BCC ?",
        "What is BCC also called?",
        "What is the BCC also known as?",
        "Hoe wordt het BCC ook genoemd?",
        "Wat is de volledige naam van het BCC?",
    ),
    "contact": (
        "Quel est le numéro de téléphone du CCB ?",
        "adresse du CCB",
        "Quel est le site web du CCB ?",
        "What is the email address of CERT.be?",
        "Wat is het telefoonnummer van het CCB?",
        "Wat is het e-mailadres van CERT.be?",
    ),
    "definition": (
        "Qu'est-ce que le BCC ?",
        "Qu’est-ce que l’ENISA ?",
        "enabel c'est quoi",
        "Définition de CSIRT",
        "What is ENISA?",
        "What's the CSIRT?",
        "Wat is ENISA?",
    ),
    "other": (
        "Qui représente la Belgique à l'ECCG ?",
        "Who represents Belgium in ECCG?",
        "Wie vertegenwoordigt België in de ECCG?",
        "Comment le CCB aide-t-il le Niger ?",
        "Pourquoi le CCB suit-il les lois ?",
        "Que fait le CCB ?",
        "Which law created the BCC?",
        "Waarom bestaat het BCC?",
        "",
    ),
}


@pytest.mark.parametrize(
    ("question", "asks"),
    [(question, asks) for asks, questions in ASKED_FOR.items() for question in questions],
)
def test_what_is_asked_for(question: str, asks: Asks) -> None:
    assert asked_for(question) == asks


@pytest.mark.parametrize(
    "question",
    ["OÙ SIÈGE LE BCC ?", "où siège le bcc ?", "ou siege le bcc", "  Où  siège-t-il ?"],
)
def test_case_accents_and_blanks_do_not_matter(question: str) -> None:
    assert asked_for(question) == "place"


@pytest.mark.parametrize(
    "question",
    [
        "Quelles sont les missions du BCC ?",
        "Quels pays participent ?",
        "De quels groupes fait-il partie ?",
        "À quelles initiatives participe-t-il ?",
        "Citez les missions du BCC",
        "Énumérez les tâches",
        "missions principales du BCC",
        "Donne-moi la liste des forums",
        "What are the missions of the BCC?",
        "Which networks does it belong to?",
        "Which EU laws does the CCB follow?",
        "List the tasks",
        "Name the four tasks of the BCC",
        "Wat zijn de taken van het BCC?",
        "Welke wetten volgt het CCB?",
        "Noem de opdrachten",
        "Welke gegevens worden verwerkt?",
    ],
)
def test_several_things_are_asked_for(question: str) -> None:
    assert wants_list(question)


@pytest.mark.parametrize(
    "question",
    [
        "Quelle est la mission du BCC ?",
        "Où siège le BCC ?",
        "Quel pays a lancé l'initiative ?",
        "Qu'est-ce que l'ENISA ?",
        "accès de nuit au site",
        "Who represents Belgium in ECCG?",
        "What is the status of the project?",
        "Is the BCC listed somewhere?",
        "Wie vertegenwoordigt België?",
        "Welke instantie treedt op?",
        "Welk land werkt mee?",
        "",
    ],
)
def test_one_thing_is_asked_for(question: str) -> None:
    assert not wants_list(question)


@pytest.mark.parametrize(
    ("question", "key"),
    [
        ("Où siège le BCC ?", "Siège"),
        ("Where is the BCC based?", "Siège"),
        ("Waar is het BCC gevestigd?", "Siège"),
        ("Quand a-t-il été créé ?", "Création"),
        ("When was it founded?", "Création"),
        ("Wanneer werd het opgericht?", "Création"),
        ("À quel ministère est-il rattaché ?", "Rattachement"),
        ("Who does it report to?", "Rattachement"),
        ("Onder welk ministerie valt het?", "Rattachement"),
        ("Quel est son rôle ?", "Rôle"),
        ("What is its role?", "Rôle"),
        ("Wat is de rol van het BCC?", "Rôle"),
        ("Quel est le nom complet du BCC ?", "Nom complet"),
        ("What is BCC also called?", "aliases"),
        ("Hoe wordt het ook genoemd?", "aliases"),
        ("De quel pays est-il ?", "pays"),
        ("Which country is it from?", "pays"),
        ("What kind of organisation is it?", "type"),
    ],
)
def test_the_row_that_is_asked_for(question: str, key: str) -> None:
    assert asked_key(question, key)


@pytest.mark.parametrize(
    ("question", "key"),
    [
        ("Où siège le BCC ?", "Création"),
        ("When was it founded?", "Siège"),
        ("Quelles sont les missions du BCC ?", "Rôle"),
        ("What is BCC also called?", "Siège"),
        # A row is known by how it begins, not by what it holds.
        ("Où siège le BCC ?", "Nombre de sièges"),
        ("", "Siège"),
        ("Où siège le BCC ?", ""),
    ],
)
def test_rows_that_are_not_asked_for(question: str, key: str) -> None:
    assert not asked_key(question, key)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Quand a-t-il été créé ?", "Il siège à Bruxelles."),
        ("When was it created?", "Il compte 27 centres."),
        ("Combien de centres y a-t-il ?", "Le réseau réunit des centres."),
        ("How many centres are there?", "Le réseau réunit des centres."),
        ("Quel est le budget ?", "La loi du 7 avril 2019 le prévoit."),
        ("How much does it cost?", "Une carte coûte cher."),
        ("Qui est le directeur ?", "Le directeur général du CCB est membre du conseil."),
        ("Wie is de directeur?", "Le directeur général du CCB est membre du conseil."),
        ("Quelle est l'adresse du CCB ?", "Le CCB est à Bruxelles."),
        ("What is the phone number?", "Le CCB répond au téléphone."),
    ],
)
def test_a_text_without_the_form_cannot_answer(question: str, text: str) -> None:
    assert lacks_form(question, text)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Quand a-t-il été créé ?", "Création : 2022"),
        ("When?", "La loi du 7 avril 2019."),
        ("Wanneer?", "le 1er juin"),
        ("Quand ?", "le 14/07/2023"),
        ("Combien de centres ?", "un réseau de 27 centres"),
        ("How often is it organised?", "organisé tous les deux ans"),
        ("Quel est le budget ?", "12 millions d'euros"),
        ("How much does it cost?", "La carte coûte 86 €."),
        ("Qui est le directeur ?", "Miguel De Bruycker dirige le CCB."),
        ("Wie is de directeur?", "Jean-Pierre van Acker le dirige."),
        ("Quelle est l'adresse ?", "18 rue de la Loi, 1000 Bruxelles"),
        ("What is the email address?", "incident@cert.be"),
        ("Quel est le téléphone ?", "+32 2 501 05 60"),
        # Where no form is asked for, none can be missing.
        ("Qui représente la Belgique ?", "L'autorité nationale la représente."),
        ("Qu'est-ce que l'ENISA ?", "Une agence."),
        # An organisation answers these, and none has the form of a person's name.
        ("Qui est Enabel ?", "Enabel, l'agence fédérale pour le développement."),
        ("Qui est membre de l'ECSO ?", "Le CCB est membre de l'ECSO."),
        ("Qui est le point de contact pour l'OSCE ?", "Le CCB est le point de contact."),
        # Words of time and place that ask for neither a date nor an address.
        ("L'exercice a-t-il lieu chaque année ?", "Il est organisé tous les deux ans."),
        ("Aide-t-il de lui-même ou quand on le sollicite ?", "Il aide sur demande."),
        ("Which organisations does it help when asked?", "Sur demande, il aide l'OTAN."),
        ("How does the CCB address threats?", "Il coordonne la réponse aux menaces."),
        ("À qui s'adresse le programme ?", "Aux entreprises privées."),
    ],
)
def test_a_text_with_the_form_can_answer(question: str, text: str) -> None:
    assert not lacks_form(question, text)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Who represents Belgium in ECCG?", {"Belgium", "ECCG"}),
        ("Qui représente la Belgique à l'ECCG ?", {"Belgique", "ECCG"}),
        ("Wie vertegenwoordigt België in de ECCG?", {"België", "ECCG"}),
        ("Qu'est-ce que l’OTAN ?", {"OTAN"}),
        ("Quel est le rôle de l'État ?", {"État"}),
        ("CERT.be fait-il partie du CCB ?", {"CERT.be", "CCB"}),
        ("NCCA-BE", {"NCCA-BE"}),
        ("ENISA c'est quoi ?", {"ENISA"}),
        ("Est-ce que la Belgique suit la CBM 14 ?", {"Belgique", "CBM", "14"}),
        ("Et le règlement 2021/887 ?", {"2021", "887"}),
        ("Qui est « Enabel » ?", {"Enabel"}),
        ('Qui est "Enabel" ?', {"Enabel"}),
        ("Qui est “Enabel” ?", {"Enabel"}),
        ("Qui est l'agence (Enabel) ?", {"Enabel"}),
        # The capital that opens a question is no name.
        ("Où siège le centre ?", set()),
        ("où siège le bcc", set()),
        ("", set()),
    ],
)
def test_names_that_a_question_mentions(question: str, expected: set[str]) -> None:
    assert names(question) == expected
