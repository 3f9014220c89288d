"""Evaluation: base against tuned on the sealed test split, a verdict, and a dossier for whoever decides."""

from sonneteer.evaluation.abreast import Entrant, Row, abreast, is_comparable
from sonneteer.evaluation.abreast_page import as_document, write_abreast
from sonneteer.evaluation.advice import Advice, Facts, Searched, advise
from sonneteer.evaluation.ask import Arm
from sonneteer.evaluation.canaries import planted
from sonneteer.evaluation.cases import (
    Cases,
    Mistake,
    add_cases,
    case_of,
    drop_cases,
    fixed_in,
    is_fixed,
    read_cases,
    tells,
)
from sonneteer.evaluation.charts import plot_losses
from sonneteer.evaluation.dossier import Papers, write_dossier
from sonneteer.evaluation.evaluate import Arms, Contest, check_rules, evaluate, labels_of, read_pairs
from sonneteer.evaluation.few_shot import FewShot, shots_of
from sonneteer.evaluation.judging import Ballot, Pair
from sonneteer.evaluation.measure import SMALLEST_SLICE
from sonneteer.evaluation.outlook import outlook
from sonneteer.evaluation.scorers import SCORERS, of_answer
from sonneteer.evaluation.significance import detectable_share
from sonneteer.evaluation.suites import read_suite

__all__ = [
    "SCORERS",
    "SMALLEST_SLICE",
    "Advice",
    "Arm",
    "Arms",
    "Ballot",
    "Cases",
    "Contest",
    "Entrant",
    "Facts",
    "FewShot",
    "Mistake",
    "Pair",
    "Papers",
    "Row",
    "Searched",
    "abreast",
    "add_cases",
    "advise",
    "as_document",
    "case_of",
    "check_rules",
    "detectable_share",
    "drop_cases",
    "evaluate",
    "fixed_in",
    "is_comparable",
    "is_fixed",
    "labels_of",
    "of_answer",
    "outlook",
    "planted",
    "plot_losses",
    "read_cases",
    "read_pairs",
    "read_suite",
    "shots_of",
    "tells",
    "write_abreast",
    "write_dossier",
]
