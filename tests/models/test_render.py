"""What is learned is the answer and the mark that ends it, and a trained prompt has the ids of a served one."""

from __future__ import annotations

import pytest

from sonneteer.errors import DataError, ModelError
from sonneteer.models.render import TemplateRenderer
from sonneteer.records import Example, Message, Rendered, Role

from .networks import tokenizer


def example(*turns: tuple[Role, str], **more: object) -> Example:
    return Example(messages=tuple(Message(role=role, text=text) for role, text in turns), **more)


def learned(renderer: TemplateRenderer, sequence: Rendered) -> str:
    return renderer.tokenizer.decode([i for i, w in zip(sequence.ids, sequence.weights, strict=True) if w])


SHORT = example(("system", "Be kind."), ("user", "Hello?"), ("assistant", "Good day to you."))
LONG = example(
    ("user", "Hello?"), ("assistant", "Good day."), ("user", "How are you?"), ("assistant", "Well, thank you.")
)


def test_the_answer_and_its_end_mark_are_learned_and_nothing_else() -> None:
    renderer = TemplateRenderer(tokenizer(), 512)
    (sequence,) = renderer.render(SHORT)
    assert learned(renderer, sequence) == "Good day to you.<|im_end|>"


def test_every_answer_of_a_conversation_is_learned_in_one_sequence() -> None:
    renderer = TemplateRenderer(tokenizer(), 512)
    (sequence,) = renderer.render(LONG)
    assert learned(renderer, sequence) == "Good day.<|im_end|>Well, thank you.<|im_end|>"


def test_an_answer_that_is_only_context_is_not_learned() -> None:
    renderer = TemplateRenderer(tokenizer(), 512)
    messages = tuple(m.model_copy(update={"weight": float(i != 1)}) for i, m in enumerate(LONG.messages))
    (sequence,) = renderer.render(LONG.model_copy(update={"messages": messages}))
    assert learned(renderer, sequence) == "Well, thank you.<|im_end|>"


def test_each_answer_s_tokens_have_the_weight_of_the_answer() -> None:
    messages = tuple(m.model_copy(update={"weight": 0.25 if i == 1 else 2.0}) for i, m in enumerate(LONG.messages))
    example = LONG.model_copy(update={"messages": messages})
    (sequence,) = TemplateRenderer(tokenizer(), 512).render(example)
    (plain,) = TemplateRenderer(tokenizer(), 512).render(LONG)
    assert sequence.ids == plain.ids
    assert [weight > 0 for weight in sequence.weights] == [weight > 0 for weight in plain.weights]
    found = [weight for weight in sequence.weights if weight]
    assert found == sorted(found)  # the first answer's, then the last one's
    assert set(found) == {0.25, 2.0}
    (whole,) = TemplateRenderer(tokenizer(), 512, learns_prompts=True).render(example)
    assert set(whole.weights[1:]) == {0.25, 1.0, 2.0}


def test_the_trained_prompt_has_the_very_ids_of_the_served_one() -> None:
    renderer = TemplateRenderer(tokenizer(), 512)
    for conversation in (SHORT, LONG):
        answer = renderer.answer(conversation)
        prompt = renderer.prompt_ids(conversation.prompt)
        assert answer.ids[: len(prompt)] == prompt
        assert not any(answer.weights[: len(prompt)])
        assert all(answer.weights[len(prompt) :])


def test_the_mark_that_ends_a_turn_is_a_stop_token() -> None:
    renderer = TemplateRenderer(tokenizer(), 512)
    assert renderer.stop_ids() == {renderer.answer(SHORT).ids[-1]}


def test_learning_prompts_learns_everything_but_the_first_token() -> None:
    (sequence,) = TemplateRenderer(tokenizer(), 512, learns_prompts=True).render(LONG)
    assert sequence.weights == [0.0] + [1.0] * (len(sequence.ids) - 1)


def test_a_template_that_writes_the_last_answer_differently_gives_each_answer_its_own_sequence() -> None:
    thinking = tokenizer()
    thinking.chat_template = (
        "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>{{ '<think></think>' if loop.last }}"
        "{{ m.content }}<|im_end|>{% else %}[{{ m.content }}]{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|><think></think>{% endif %}"
    )
    renderer = TemplateRenderer(thinking, 512)
    sequences = renderer.render(LONG)
    assert [learned(renderer, sequence) for sequence in sequences] == [
        "Good day.<|im_end|>",
        "Well, thank you.<|im_end|>",
    ]


def test_a_template_without_a_system_role_gets_its_text_with_the_first_question() -> None:
    strict = tokenizer()
    strict.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "<|im_start|>{{ m.role }}:{{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant:{% endif %}"
    )
    renderer = TemplateRenderer(strict, 512)
    (sequence,) = renderer.render(SHORT)
    assert "user:Be kind.\n\nHello?" in renderer.tokenizer.decode(sequence.ids)
    with pytest.raises(DataError, match="no user's message"):
        renderer.render(example(("system", "Be kind."), ("assistant", "Yes.")))


def test_a_model_without_a_template_is_refused_in_words() -> None:
    bare = tokenizer()
    bare.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        TemplateRenderer(bare, 512).render(SHORT)


def test_a_template_whose_question_does_not_open_its_answers_is_refused() -> None:
    odd = tokenizer()
    odd.chat_template = (
        "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}A:{% endif %}"
    )
    with pytest.raises(ModelError, match="generation prompt"):
        TemplateRenderer(odd, 512).render(SHORT)


def test_text_longer_than_the_window_is_learned_whole_each_token_once() -> None:
    renderer = TemplateRenderer(tokenizer(), 16)
    text = "The cat sat on the mat and looked at the moon. " * 4
    windows = renderer.render(Example(messages=(Message(role="assistant", text=text),), is_text=True))
    assert len(windows) > 2
    assert all(len(window.ids) <= 16 for window in windows)
    learned_ids = [i for w in windows for i, weight in zip(w.ids, w.weights, strict=True) if weight]
    assert renderer.tokenizer.decode(windows[0].ids[:1] + learned_ids) == text + "<|im_end|>"
