"""A language model that answers: `LocalChat` is a `Chat`, and a `LogProbs` for what needs likelihoods."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from random import Random

import torch
from transformers import DynamicCache

from sonneteer.chat import Answer, Likelihood, Options, Piece
from sonneteer.errors import RequestError
from sonneteer.models.engine.certainty import Certainty, look
from sonneteer.models.engine.draw import Wish, choose
from sonneteer.models.engine.writing import Writing
from sonneteer.models.load import LanguageModel
from sonneteer.models.logprobs import forests, predict
from sonneteer.records import Example, Prompt, Rendered

SCORED_TOKENS = 2048  # unique tokens that are scored at once


class LocalChat:
    """Talks with a model on this machine. Not thread-safe: one caller at a time."""

    def __init__(self, model: LanguageModel, batch_size: int = 32) -> None:
        self._model = model
        self._batch_size = batch_size
        self._stop_ids = model.renderer.stop_ids()

    @property
    def model(self) -> LanguageModel:
        """The network with its tokenizer."""
        return self._model

    @property
    def context(self) -> int:
        """Longest prompt and answer together, in tokens."""
        return self._model.context

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        """Answers in batches, prompts of similar length together. Raises RequestError for a prompt that is too long."""
        return self._answered(prompts, options)

    def continued(self, texts: Sequence[tuple[int, ...]], options: Options) -> list[Answer]:
        """How the model goes on from token ids. Raises RequestError for a text that is too long."""
        return self._answered(texts, options)

    def _answered(self, sources: Sequence[Prompt | tuple[int, ...]], options: Options) -> list[Answer]:
        ids = [self._source_ids(source, options) for source in sources]
        answers: dict[int, Answer] = {}
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]), reverse=True)
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            drafts = [self._draft(ids[i], options, options.seed, sources[i]) for i in batch]
            for _ in self._decode([ids[i] for i in batch], options.max_tokens, drafts):
                pass
            answers |= {i: draft.finished()[1] for i, draft in zip(batch, drafts, strict=True)}
        return [answers[i] for i in range(len(ids))]

    def continuations(self, prompts: Sequence[list[int]], options: Options) -> list[list[int]]:
        """One answer to each prompt as token ids, its end mark included: the very tokens that were drawn.

        Each prompt takes a seed of its own, so that one that comes again gets another answer.
        """
        written: list[list[int]] = []
        for start in range(0, len(prompts), self._batch_size):
            batch = list(prompts[start : start + self._batch_size])
            drafts = [self._draft(ids, options, options.seed + start + row) for row, ids in enumerate(batch)]
            rows: list[list[int]] = [[] for _ in batch]
            for tokens in self._decode(batch, options.max_tokens, drafts):
                for row, token in zip(rows, tokens, strict=True):
                    if not row or row[-1] not in self._stop_ids:
                        row.append(token)
            written += rows
        return written

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        """The answer as it comes; half a character or half a stop sequence is held back until it is whole."""
        ids = self._source_ids(prompt, options)
        draft = self._draft(ids, options, options.seed, prompt)
        with closing(self._decode([ids], options.max_tokens, [draft])) as steps:
            for _ in steps:
                if text := draft.writing.new_text():
                    yield Piece(text)
        rest, answer = draft.finished()
        if rest:
            yield Piece(rest)
        yield Piece("", answer)

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens of the rendered prompt."""
        return len(self._model.renderer.prompt_ids(prompt))

    def likelihoods(self, examples: Sequence[Example]) -> list[Likelihood]:
        """How likely the model finds each example's answer, every shared prefix computed once."""
        return self._weighed([self._model.renderer.answer(example) for example in examples])

    @property
    def opening_id(self) -> int:
        """The mark that begins a text, or else the one that ends the text before it."""
        tokenizer = self._model.tokenizer
        return int(tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id)

    def text_ids(self, text: str, has_marks: bool = True) -> list[int]:
        """Plain text as token ids, with the marks that the tokenizer puts around a text or without them."""
        return list(self._model.tokenizer.encode(text, add_special_tokens=has_marks))

    def continuation_likelihoods(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Likelihood]:
        """How likely the model finds the second part of each pair of token ids, behind the first."""
        weights = [[0.0] * len(given) + [1.0] * len(further) for given, further in pairs]
        return self._weighed(
            [Rendered([*given, *further], own) for (given, further), own in zip(pairs, weights, strict=True)]
        )

    def _weighed(self, rendered: Sequence[Rendered]) -> list[Likelihood]:
        scored: dict[int, Likelihood] = {}
        self._model.network.eval()
        for group, forest in forests(rendered, SCORED_TOKENS, self._model.device):
            told = predict(self._model.network, forest)
            for place, i in enumerate(group):
                own = forest.terms.sequences_M == place
                scored[i] = Likelihood(
                    log_prob=float(told.log_probs_M[own].double().sum()),
                    tokens=int(own.sum()),
                    right_tokens=int(told.is_first_M[own].sum()),
                    characters=len(self._model.renderer.learned_text(rendered[i])),
                )
        return [scored[i] for i in range(len(rendered))]

    def token_log_probs(self, examples: Sequence[Example]) -> list[list[float]]:
        """How likely the model finds each token of each example's answer."""
        rendered = [self._model.renderer.answer(example) for example in examples]
        scored: dict[int, list[float]] = {}
        self._model.network.eval()
        for group, forest in forests(rendered, SCORED_TOKENS, self._model.device):
            told = predict(self._model.network, forest)
            for place, i in enumerate(group):
                scored[i] = told.log_probs_M[forest.terms.sequences_M == place].tolist()
        return [scored[i] for i in range(len(examples))]

    def _source_ids(self, source: Prompt | tuple[int, ...], options: Options) -> list[int]:
        ids = list(source) if isinstance(source, tuple) else self._model.renderer.prompt_ids(source, options.prefill)
        if len(ids) >= self._model.context:
            raise RequestError(f"prompt is too long: {len(ids)} tokens > {self._model.context - 1} maximum")
        return ids

    def _draft(self, ids: list[int], options: Options, seed: int, source: Prompt | tuple[int, ...] = ()) -> Draft:
        has_tools = isinstance(source, Prompt) and bool(source.tools)
        return Draft(self._model, options, ids, seed, has_tools)

    @torch.no_grad()
    def _decode(self, prompts: list[list[int]], most_tokens: int, drafts: list[Draft]) -> Generator[list[int]]:
        """Next tokens of all prompts, step by step, until every draft is done. Prompts are padded on the left."""
        network, device = self._model.network.eval(), self._model.device
        longest = max(len(ids) for ids in prompts)
        limit = min(most_tokens, self._model.context - longest)
        inputs = torch.tensor([[0] * (longest - len(ids)) + ids for ids in prompts], device=device)
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=device)
        cache = DynamicCache(config=network.config)
        for _ in range(limit):
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -inputs.shape[1] :]
            logits = network(
                input_ids=inputs,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            chosen = choose(logits.float(), [draft.wish for draft in drafts])
            look(logits, chosen, [Certainty() if draft.is_done else draft.certainty for draft in drafts])
            for draft, token in zip(drafts, chosen, strict=True):
                draft.add(token, token in self._stop_ids)
            yield chosen
            if all(draft.is_done for draft in drafts):
                return
            inputs = torch.tensor(chosen, device=device)[:, None]
            mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], 1)


class Draft:
    """An answer that is being written."""

    def __init__(
        self, model: LanguageModel, options: Options, ids: list[int], seed: int, has_tools: bool = False
    ) -> None:
        self.wish = Wish(options, Random(seed))
        self.writing = Writing(model.tokenizer.backend_tokenizer, options.stop, has_tools)
        self.certainty = Certainty()
        self.is_ended = False
        self._prompt_tokens = len(ids)

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to be written."""
        return self.is_ended or self.writing.stop_sequence is not None

    def add(self, token: int, is_mark: bool) -> None:
        """Take one more token, unless the answer is over. A mark that ends the answer is no part of it."""
        if self.is_done:
            return
        if is_mark:
            self.is_ended = True
        else:
            self.writing.add(token)

    def finished(self) -> tuple[str, Answer]:
        """What was not shown yet, and the whole answer."""
        self.writing.end()
        calls = self.writing.calls()
        text, rest = self.writing.said(bool(calls))
        answer = Answer(
            text=text,
            stop_reason=self.writing.reason(self.is_ended, bool(calls)),
            stop_sequence=self.writing.stop_sequence,
            tool_calls=calls,
            prompt_tokens=self._prompt_tokens,
            answer_tokens=len(self.writing.ids) + self.is_ended,
            confidence=self.certainty.share,
        )
        return rest, answer
