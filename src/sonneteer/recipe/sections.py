"""What a recipe may say: one class a section, in the order of the lifecycle, each field documented beneath it.

The sentence under a field is its documentation everywhere: in `--help`, in the recipes that `sonneteer init`
writes, and in the reference page.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from sonneteer.recipe.data import BalanceSettings, CleanSettings, DataSettings, PassageSettings, SourceSettings
from sonneteer.recipe.engines import LlamaCppSettings, VllmSettings
from sonneteer.recipe.evaluation import (
    EvaluationSettings,
    ExternalSettings,
    JudgeSettings,
    MemorisationSettings,
    PromotionSettings,
    SuiteKind,
    SuiteSettings,
)
from sonneteer.recipe.improvement import ImprovementSettings
from sonneteer.recipe.model import Architecture, BaseSettings, VocabularySettings
from sonneteer.recipe.monitoring import MonitoringSettings
from sonneteer.recipe.privacy import PERSONAL_KINDS, PrivacyAction, PrivacySettings
from sonneteer.recipe.search import SearchSettings
from sonneteer.recipe.section import Section
from sonneteer.recipe.serving import ServingSettings
from sonneteer.recipe.synthesis import SynthesisSettings, TeacherSettings
from sonneteer.recipe.training import WITHOUT_EFFECT, TrainingSettings

__all__ = [
    "PERSONAL_KINDS",
    "WITHOUT_EFFECT",
    "Architecture",
    "BalanceSettings",
    "BaseSettings",
    "CleanSettings",
    "DataSettings",
    "EvaluationSettings",
    "ExternalSettings",
    "ImprovementSettings",
    "JudgeSettings",
    "LlamaCppSettings",
    "MemorisationSettings",
    "MonitoringSettings",
    "PassageSettings",
    "PrivacyAction",
    "PrivacySettings",
    "PromotionSettings",
    "Recipe",
    "SearchSettings",
    "Section",
    "ServingSettings",
    "SourceSettings",
    "SuiteKind",
    "SuiteSettings",
    "SynthesisSettings",
    "TeacherSettings",
    "TrainingSettings",
    "VllmSettings",
    "VocabularySettings",
]
BY_TOKEN = {"perplexity", "token_accuracy"}
"""Metrics whose unit is a token: models with other tokens cannot be compared by them."""


class Recipe(Section):
    """One file that says what to build."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    """Name of the data set, the runs and the model, in lower case."""
    seed: int = 0
    """Everything left to chance follows from it."""
    synthesis: SynthesisSettings = SynthesisSettings()
    data: DataSettings
    privacy: PrivacySettings = PrivacySettings()
    base: BaseSettings = BaseSettings()
    training: TrainingSettings = TrainingSettings()
    search: SearchSettings = SearchSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    promotion: PromotionSettings = PromotionSettings()
    serving: ServingSettings = ServingSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    improvement: ImprovementSettings = ImprovementSettings()

    @model_validator(mode="after")
    def _plants_what_can_be_learned(self) -> Recipe:
        if self.evaluation.memorisation.canaries and self.training.objective not in ("imitation", "distillation"):
            raise ValueError(
                "evaluation.memorisation.canaries are answers to be imitated, and the objective is "
                f"'{self.training.objective}'. Remove them; the other audits need none."
            )
        return self

    @model_validator(mode="after")
    def _replays_what_there_is(self) -> Recipe:
        is_there, is_wanted = any(source.split == "replay" for source in self.data.sources), self.training.replay_share
        if is_wanted and not is_there:
            raise ValueError(
                f"training.replay_share is {is_wanted:g}, but no source of data has `split: replay`. Name a file of "
                "general examples there, or remove the share."
            )
        if is_there and not is_wanted:
            raise ValueError(
                "training.replay_share is 0, so the sources with `split: replay` would never be read. Say 0.1, or "
                "remove them."
            )
        if is_wanted and self.training.objective != "imitation":
            raise ValueError(
                f"training.replay_share is for the objective 'imitation', and the objective is "
                f"'{self.training.objective}'. Remove it; training.anchor holds on to the starting model, too."
            )
        return self

    @model_validator(mode="after")
    def _suits_new_terms(self) -> Recipe:
        if not self.base.vocabulary.is_wanted:
            return self
        training, rules = self.training, self.promotion
        if training.objective == "distillation":
            raise ValueError(
                "base.vocabulary: a teacher knows nothing of the new tokens, so the objective 'distillation' cannot "
                "have any. Remove base.vocabulary, or choose another training.objective."
            )
        if training.method == "full" and training.layers != "all":
            raise ValueError(
                f"training.layers is '{training.layers}', but the new tokens of base.vocabulary need the embeddings to "
                "learn. Write 'all', or train an adapter: training.method 'lora'."
            )
        counted = BY_TOKEN & {*rules.better_on, *rules.not_worse_on, *rules.floors}
        if counted:
            raise ValueError(
                f"promotion: base.vocabulary changes the tokens, so base and tuned model cannot be compared by what "
                f"counts them: {', '.join(sorted(counted))}. Write bits_per_character in its place."
            )
        return self
