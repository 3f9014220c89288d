"""Examples are masked in all their parts."""

from __future__ import annotations

import pytest

from sonneteer.privacy import Guard
from sonneteer.recipe.sections import PrivacySettings
from sonneteer.records import Example, Message, ToolCall

EMAIL = "jane.roe@example.org"


def example(**fields: object) -> Example:
    messages = (
        Message(role="user", text=f"I am {EMAIL}."),
        Message(role="assistant", tool_calls=(ToolCall(id="c", name="find", arguments={"by": [EMAIL, 3]}),)),
        Message(role="assistant", text=f"Hello {EMAIL}"),
    )
    return Example.model_validate({"messages": messages, **fields})


def test_every_part_of_an_example_is_masked_and_counted() -> None:
    rejected = Message(role="assistant", text=f"No, {EMAIL}!")
    whole = example(rejected=rejected, reference={"who": EMAIL}, tools=({"about": EMAIL},), tags={"person": EMAIL})
    masked, counts = Guard(PrivacySettings()).protect(whole)
    assert EMAIL not in masked.model_dump_json()
    assert counts == {"emails": 6}
    assert masked.answer.text == "Hello [EMAIL]"
    assert masked.messages[1].tool_calls[0].arguments == {"by": ["[EMAIL]", 3]}


def test_an_example_without_personal_data_is_the_very_same() -> None:
    plain = Example(messages=(Message(role="assistant", text="Once upon a time"),), tags={"topic": "tales"})
    assert Guard(PrivacySettings()).protect(plain).example is plain


def test_a_personal_tag_still_holds_a_person_together() -> None:
    guard = Guard(PrivacySettings())
    tags = [
        guard.protect(example(tags={"person": who})).example.tags["person"] for who in (EMAIL, EMAIL, "x@example.org")
    ]
    assert tags[0] == tags[1] != tags[2]
    assert tags[0].startswith("private-")


def test_masking_again_changes_nothing() -> None:
    guard = Guard(PrivacySettings(names="mask", addresses="mask"))
    masked = guard.protect(example()).example
    assert guard.protect(masked) == (masked, {})


def test_an_example_whose_fingerprint_was_asked_for_gets_a_new_one() -> None:
    whole = example()
    before = whole.id
    assert Guard(PrivacySettings()).protect(whole).example.id != before


@pytest.mark.parametrize("action", ["mask", "pseudonymise"])
def test_a_number_may_be_a_card(action: str) -> None:
    call = ToolCall(id="c", name="pay", arguments={"card": 4111111111111111, "cents": 4111, "is_urgent": True})
    asked, answer = Message(role="user", text="Pay."), Message(role="assistant", tool_calls=(call,))
    protected = Guard(PrivacySettings.model_validate({"cards": action})).protect(Example(messages=(asked, answer)))
    assert protected.counts == {"cards": 1}
    arguments = protected.example.answer.tool_calls[0].arguments
    assert arguments == {"card": arguments["card"], "cents": 4111, "is_urgent": True}
    assert arguments["card"] == "[CARD]" if action == "mask" else len(str(arguments["card"])) == 16
    assert arguments["card"] != 4111111111111111
