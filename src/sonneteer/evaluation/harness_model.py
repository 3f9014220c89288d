"""A model of ours as EleutherAI's lm-evaluation-harness asks for one. Loads the harness, an extra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from sonneteer.chat import Options, PlainText

SEED = 1234
LONGEST_ANSWER = 256
"""Both as the harness asks an endpoint where a task says nothing of it."""

Ids = Sequence[int]


class HarnessModel(TemplateLM):  # type: ignore[misc]  # the harness has no types
    """Cuts and windows are those of the harness's own `local-completions`, so that both give the same scores."""

    def __init__(self, model: PlainText) -> None:
        super().__init__()
        self._model = model
        self._longest = model.context - 1  # an endpoint keeps one token for its answer

    @property
    def eot_token_id(self) -> int:
        """What stands before a text with nothing before it."""
        return self._model.opening_id

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """A text as token ids."""
        return self._model.text_ids(string, add_special_tokens is not False)

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """How likely each continuation is behind its context, and whether it is the first choice throughout."""
        told: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm)
        return told

    def _loglikelihood_tokens(self, requests: Sequence[tuple[Any, Ids, Ids]], **_: Any) -> list[tuple[float, bool]]:
        told = self._model.continuation_likelihoods([self._cut(given, further) for _, given, further in requests])
        return [(one.log_prob, one.right_tokens == one.tokens) for one in told]

    def _cut(self, given: Ids, further: Ids) -> tuple[Ids, Ids]:
        """What is too long loses its beginning; one token at least is left before what is weighed."""
        whole = [*given, *further][-self._longest :]
        start = max(1, len(whole) - len(further))
        return whole[:start], whole[start:]

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = True) -> list[float]:
        """How likely each text is, in windows that do not overlap in what is weighed."""
        windows = [self._windows(*request.args) for request in requests]
        told = iter(self._loglikelihood_tokens([(None, *window) for each in windows for window in each]))
        return [sum(next(told)[0] for _ in each) for each in windows]

    def _windows(self, text: str) -> list[tuple[Ids, Ids]]:
        rolling = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self._longest - 1,
            context_len=1,
        )
        return [make_disjoint_window(window) for window in rolling]

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = True) -> list[str]:
        """How the model goes on, up to the first of the texts that end an answer."""
        answers: dict[int, str] = {}
        wishes = [_options(request.args[1]) for request in requests]
        for options in {wish.model_dump_json(): wish for wish in wishes}.values():
            chosen = [i for i, wish in enumerate(wishes) if wish == options]
            longest = self._longest - options.max_tokens
            texts = [tuple(self.tok_encode(requests[i].args[0])[-longest:]) for i in chosen]
            told = self._model.continued(texts, options)
            answers |= {i: answer.text for i, answer in zip(chosen, told, strict=True)}
        return [answers[i] for i in range(len(requests))]


def _options(said: dict[str, Any]) -> Options:
    until = said.get("until") or ()
    return Options(
        max_tokens=int(said.get("max_tokens", said.get("max_gen_toks", LONGEST_ANSWER))),
        temperature=float(said.get("temperature", 0)),
        top_p=float(said.get("top_p", 1)),
        stop=(until,) if isinstance(until, str) else tuple(text for text in until if text),
        seed=SEED,
    )
