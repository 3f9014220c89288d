"""Our losses and gradients are those of TRL's own trainers on the same token ids."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, pstdev
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from sonneteer.models.load import LanguageModel
from sonneteer.recipe.learning import PreferenceSettings, RewardSettings
from sonneteer.records import Example, Message, Rendered
from sonneteer.training.lessons import Lesson, lessons_of, parts, read
from sonneteer.training.objectives import Dpo, Grpo, Imitation, Kto, Orpo
from sonneteer.training.references import with_references

from ...models.networks import network, tokenizer
from .plain import pairs, same_as_plain, start_and_now

trl = pytest.importorskip("trl", reason="TRL is not installed: pip install trl")
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
PAD = 1


def quiet(folder: Path, **more: Any) -> dict[str, Any]:
    """Arguments of every trainer: on the processor, in float32, and nothing written or sent."""
    plain = {
        "output_dir": str(folder),
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
    }
    return {
        **plain,
        "per_device_train_batch_size": 8,
        "save_strategy": "no",
        "disable_tqdm": True,
        **more,
    }


def rows(**columns: str) -> Any:
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    return Dataset.from_list([dict(columns)] * 2)


def cut(sequence: Rendered) -> tuple[list[int], list[int]]:
    """Question and answer."""
    given = sequence.weights.count(0.0)
    return sequence.ids[:given], sequence.ids[given:]


def pair_rows(lessons: list[Lesson]) -> list[dict[str, list[int]]]:
    return [
        {
            "prompt_ids": cut(chosen)[0],
            "chosen_ids": cut(chosen)[1],
            "rejected_ids": cut(rejected)[1],
        }
        for chosen, rejected in (lesson.sequences for lesson in lessons)
    ]


def preference_trainer(folder: Path, start: PreTrainedModel, now: PreTrainedModel, **settings: Any) -> Any:
    return trl.DPOTrainer(
        model=now,
        ref_model=start,
        args=trl.DPOConfig(**quiet(folder, **settings)),
        train_dataset=rows(prompt="Where", chosen=" here", rejected=" there"),
        processing_class=tokenizer(),
    )


def test_imitation_is_sft(tmp_path: Path) -> None:
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    now = network("qwen3").requires_grad_(True)
    args = trl.SFTConfig(**quiet(tmp_path))
    trainer = trl.SFTTrainer(
        model=now, args=args, train_dataset=rows(text="Where is it?"), processing_class=tokenizer()
    )
    lessons = pairs()
    collator = DataCollatorForLanguageModeling(pad_token_id=PAD)
    batch = collator(
        [
            {"input_ids": s.ids, "labels": [i if w else -100 for i, w in zip(s.ids, s.weights, strict=True)]}
            for lesson in lessons
            for s in lesson.sequences
        ]
    )
    same_as_plain(Imitation(), now, lessons, lambda: trainer.compute_loss(now, dict(batch)))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (PreferenceSettings(beta=0.3), {"loss_type": ["sigmoid"]}),
        (PreferenceSettings(beta=0.3, loss="ipo"), {"loss_type": ["ipo"]}),
    ],
    ids=["sigmoid", "ipo"],
)
def test_dpo_and_ipo_are_trl_s(tmp_path: Path, ours: PreferenceSettings, theirs: dict[str, Any]) -> None:
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    start, now = start_and_now()
    trainer = preference_trainer(tmp_path, start, now, beta=0.3, **theirs)
    lessons = with_references(start, pairs(), 40, tmp_path / "kept.safetensors")
    batch = DataCollatorForPreference(pad_token_id=PAD)(pair_rows(lessons))
    same_as_plain(Dpo(ours), now, lessons, lambda: trainer.compute_loss(now, dict(batch)))


def padded(sequences: list[Rendered]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, attention mask and labels, filled up on the right."""
    longest = max(len(s.ids) for s in sequences)
    ids = torch.tensor([[*s.ids, *[PAD] * (longest - len(s.ids))] for s in sequences])
    mask = torch.tensor([[1] * len(s.ids) + [0] * (longest - len(s.ids)) for s in sequences])
    learned = torch.tensor([[*s.weights, *[0.0] * (longest - len(s.weights))] for s in sequences]) != 0
    return ids, mask, ids.masked_fill(~learned, -100)


def mean_log_probs(trainer: Any, now: PreTrainedModel, lessons: list[Lesson], which: int) -> torch.Tensor:
    ids, mask, labels = padded([lesson.sequences[which] for lesson in lessons])
    logits = now(input_ids=ids, attention_mask=mask).logits
    found: torch.Tensor = trainer.get_batch_logps(logits, labels, average_log_prob=True)
    return found


def test_simpo_is_trl_s() -> None:
    from trl.experimental.cpo import CPOTrainer

    _, now = start_and_now()
    theirs = SimpleNamespace(
        alpha=0.0,
        beta=2.0,
        loss_type="simpo",
        simpo_gamma=0.5,
        label_smoothing=0.0,
        accelerator=SimpleNamespace(device="cpu"),
    )

    def plain() -> torch.Tensor:
        told = [mean_log_probs(CPOTrainer, now, pairs(), which) for which in (0, 1)]
        return CPOTrainer.cpo_loss(theirs, *told)[0].mean()

    same_as_plain(Dpo(PreferenceSettings(loss="simpo", beta=2.0, margin=0.5)), now, pairs(), plain)


def test_orpo_is_imitation_of_the_answer_minus_trl_s_odds_ratio() -> None:
    from trl.experimental.orpo import ORPOTrainer

    _, now = start_and_now()
    theirs = SimpleNamespace(beta=0.3, accelerator=SimpleNamespace(device="cpu"))

    def plain() -> torch.Tensor:  # TRL's own imitation term also learns the question, unlike the paper's
        told = [mean_log_probs(ORPOTrainer, now, pairs(), which) for which in (0, 1)]
        return -told[0].mean() - ORPOTrainer.odds_ratio_loss(theirs, *told)[0].mean()

    same_as_plain(Orpo(PreferenceSettings(beta=0.3)), now, pairs(), plain)


def test_kto_is_trl_s(tmp_path: Path) -> None:
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    start, now = start_and_now()
    mismatched = [lesson.sequences[1] for lesson in pairs()]
    judged = [
        Lesson([lesson.sequences[0], other], labels=(i % 3 > 0, None))
        for i, (lesson, other) in enumerate(zip(pairs(), mismatched, strict=True))
    ]
    args = trl.KTOConfig(**quiet(tmp_path, beta=0.3, desirable_weight=1.5, undesirable_weight=0.5))
    dataset = rows(prompt="Where", completion=" here").add_column("label", [True, False])
    trainer = trl.KTOTrainer(model=now, ref_model=start, args=args, train_dataset=dataset, processing_class=tokenizer())
    batch = DataCollatorForUnpairedPreference(pad_token_id=PAD)(
        [
            {
                "prompt_ids": cut(answer)[0],
                "completion_ids": cut(answer)[1],
                "KL_completion_ids": cut(other)[1],
                "label": bool(lesson.labels[0]),
            }
            for lesson in judged
            for answer, other in [lesson.sequences]
        ]
    )
    lessons = with_references(start, judged, 40, tmp_path / "kept.safetensors")
    settings = PreferenceSettings(beta=0.3, liked_weight=1.5, disliked_weight=0.5)
    same_as_plain(Kto(settings, unique_tokens=40), now, lessons, lambda: trainer.compute_loss(now, dict(batch)))


def test_grpo_is_trl_s_mean_over_all_drawn_tokens(tmp_path: Path) -> None:
    now = network("qwen3").requires_grad_(True)
    model = LanguageModel("tiny", now, tokenizer(), "none")
    examples = [
        Example(messages=(Message(role="user", text=text), Message(role="assistant", text="Yes.")))
        for text in ("Where is my order?", "Hello")
    ]
    settings = RewardSettings(kind="python", answers=4, max_answer_tokens=5)
    grpo = Grpo(model, lambda _, answer: float(sum(map(ord, answer)) % 97), settings, 0, 4)
    ready = grpo.ready(now, lessons_of(examples, model.renderer, "grpo"), step=1)
    advantages = []
    for lesson in ready:
        assert len(lesson.sequences) == 4
        advantages += [(worth - fmean(lesson.rewards)) / (pstdev(lesson.rewards) + 1e-4) for worth in lesson.rewards]
    drawn = [sequence for lesson in ready for sequence in lesson.sequences]
    trainer = trl.GRPOTrainer(
        model=now,
        reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
        args=trl.GRPOConfig(**quiet(tmp_path, beta=0.0, loss_type="bnpo", num_generations=4, max_completion_length=5)),
        train_dataset=rows(prompt="Where"),
        processing_class=tokenizer(),
    )
    theirs = trainer._compute_loss(now, drawn_batch(drawn, torch.tensor(advantages)))
    (part,) = parts(ready, 10_000, now.device)
    ours = grpo.loss(read(now, part)) / grpo.total(ready)
    # At the weights that drew the answers every ratio is 1, so the value says little: the gradient is what is compared.
    gradients = [torch.autograd.grad(loss, list(now.parameters())) for loss in (ours, theirs)]
    for mine, other in zip(*gradients, strict=True):
        assert float((mine - other).norm()) <= 1e-4 * float(other.norm()) + 1e-6


def drawn_batch(drawn: list[Rendered], advantages: torch.Tensor) -> dict[str, torch.Tensor]:
    """Questions filled up on the left, answers on the right, as TRL's generation leaves them."""
    given, said = zip(*(cut(sequence) for sequence in drawn), strict=True)
    most_given, most_said = max(map(len, given)), max(map(len, said))
    return {
        "prompt_ids": torch.tensor([[PAD] * (most_given - len(ids)) + ids for ids in given]),
        "prompt_mask": torch.tensor([[0] * (most_given - len(ids)) + [1] * len(ids) for ids in given]),
        "completion_ids": torch.tensor([ids + [PAD] * (most_said - len(ids)) for ids in said]),
        "completion_mask": torch.tensor([[1] * len(ids) + [0] * (most_said - len(ids)) for ids in said]),
        "advantages": advantages,
    }
