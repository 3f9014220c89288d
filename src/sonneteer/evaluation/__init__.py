"""Evaluation: base against tuned on the sealed test split, a verdict, and a dossier for whoever decides."""

from sonneteer.evaluation.charts import plot_losses
from sonneteer.evaluation.dossier import write_dossier
from sonneteer.evaluation.evaluate import Arms, evaluate

__all__ = ["Arms", "evaluate", "plot_losses", "write_dossier"]
