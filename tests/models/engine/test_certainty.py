"""How sure the model is: the mean over the tokens that it looks at, the same in whichever way it answers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from sonneteer.chat import Options
from sonneteer.models.engine.certainty import LOOKED_AT, Certainty, look
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.engine.engine import AnsweringEngine
from sonneteer.models.generate import LocalChat
from sonneteer.models.load import open_folder
from sonneteer.records import Message, Prompt

from ..networks import saved


def test_an_answers_confidence_is_the_mean_of_its_tokens_probabilities(tmp_path: Path) -> None:
    model = open_folder("tiny", saved("llama", tmp_path))
    chat, prompt = EngineChat(AnsweringEngine(model)), Prompt(messages=(Message(role="user", text="Where is it?"),))
    (answer,) = chat.answer([prompt], Options(max_tokens=11, log_probs=0, logit_bias={3: -100.0}))
    looked = [chance.log_prob for chance in answer.chances[::LOOKED_AT] if chance.log_prob is not None]
    assert len(looked) == 3
    assert answer.confidence == pytest.approx(math.exp(sum(looked) / len(looked)), rel=1e-4)
    (engine_says,), (plainly,) = (each.answer([prompt], Options(max_tokens=9)) for each in (chat, LocalChat(model)))
    assert engine_says.text == plainly.text
    assert engine_says.confidence == pytest.approx(plainly.confidence, rel=1e-3)
    chat.engine.close()


def test_answers_are_looked_at_in_their_own_time() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]))
    old, new = Certainty(), Certainty()
    assert new.share is None
    assert old.is_due()
    old.note(0.0)
    look(logits, [1, 1], [old, new])
    assert (old.share, new.share) == (1.0, pytest.approx(0.8))
