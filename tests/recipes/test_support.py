"""The bundled support example: what it promises about its rows, its house rules and its generator."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from sonneteer.recipes.support.phrases import FOLDER, Topic, read_topics, read_voice
from sonneteer.recipes.support.write import lines
from sonneteer.records import Example, Message

SPOILED = {73, 97, 158, 188, 226, 251, 305, 340, 412, 467}
COPIES = {97: 12, 188: 61, 251: 250, 340: 133, 467: 208}
EMAIL_LINE = 384
TOPICS = {topic.name: topic for topic in read_topics()}

POLICIES = {
    "where_is_my_order": ("usually", "3 to 6 business days", "tracking link"),
    "return": ("40 days", "unused", "free"),
    "refund": ("usually", "5 business days", "the way you paid"),
    "damaged_item": ("new one", "free", "money back", "photo"),
    "wrong_item": ("right item", "free"),
    "exchange_size": ("40 days", "free"),
    "cancel_order": ("free", "shop", "return"),
    "change_address": ("parcel", "shop", "address"),
    "invoice_copy": ("PDF", "account under Orders"),
    "payment_declined": ("money", "basket", "card number"),
    "promo_code": ("30 days", "one code"),
    "loyalty_points": ("1 point", "100 points", "5 dollars"),
    "account_login": ("1 hour", "never", "password"),
    "delete_my_data": ("usually", "7 days", "10 years", "Delete"),
    "product_care": ("cold", "by hand|gentle hand", "flat", "away from heat"),
    "stock_question": ("usually", "every 2 weeks", "page", "Tell me"),
    "gift_wrap": ("4 dollars", "free", "club members", "card"),
    "complaint": ("shop lead", "usually", "2 business days"),
    "opening_hours": ("Monday to Friday, 9 to 5", "e-mail"),
    "business_order": ("10 pieces", "10 percent", "30 days"),
    "warranty": ("2 year", "lamps and kettles", "repair", "new one"),
    "shipping_cost": ("5 dollars", "free", "60 dollars"),
}
"""What every first answer about a topic has to say, as patterns."""

NUMBERS = {
    "where_is_my_order": {3, 6},
    "return": {40},
    "refund": {5},
    "damaged_item": {3, 6},
    "exchange_size": {40},
    "cancel_order": {5},
    "invoice_copy": {10},
    "promo_code": {30},
    "loyalty_points": {1, 100, 5, 2},
    "account_login": {1},
    "delete_my_data": {7, 10},
    "stock_question": {2},
    "gift_wrap": {4, 30},
    "complaint": {2, 9, 5},
    "opening_hours": {9, 5},
    "business_order": {10, 30, 50, 3},
    "warranty": {2},
    "shipping_cost": {5, 60, 3, 6},
}
"""All numbers that the answers about a topic may hold: elsewhere they would be another policy."""


DAYS = re.compile(r"\b(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?\b|\b(today|tonight|tomorrow|guarantee)", re.IGNORECASE)


def source_lines() -> list[str]:
    return (FOLDER / "conversations.jsonl").read_text(encoding="utf-8").splitlines()


def clean_rows() -> list[dict[str, Any]]:
    return [json.loads(line) for number, line in enumerate(source_lines(), start=1) if number not in SPOILED]


ROWS = clean_rows()


def answers_of(row: dict[str, Any]) -> list[str]:
    return [message["content"] for message in row["messages"] if message["role"] == "assistant"]


def all_answers() -> list[tuple[Topic, str]]:
    return [(TOPICS[row["tags"]["topic"]], answer) for row in ROWS for answer in answers_of(row)]


def sentences_of(answer: str) -> list[str]:
    return re.split(r"(?<=[.?!])\s+", answer)


# What is in the file ---------------------------------------------------------------------------


def test_the_generator_writes_the_bundled_file_again() -> None:
    written = "".join(line + "\n" for line in lines()).encode()
    assert written == (FOLDER / "conversations.jsonl").read_bytes()


def test_there_are_enough_conversations_on_enough_topics() -> None:
    per_topic = Counter(row["tags"]["topic"] for row in ROWS)
    assert len(ROWS) >= 450
    assert len(per_topic) >= 18
    assert set(per_topic) == set(TOPICS)
    assert min(per_topic.values()) >= 20


def test_about_a_quarter_has_two_to_four_questions() -> None:
    questions = Counter(sum(message["role"] == "user" for message in row["messages"]) for row in ROWS)
    assert set(questions) == {1, 2, 3, 4}
    assert 0.2 <= 1 - questions[1] / len(ROWS) <= 0.3


def test_every_clean_row_is_an_example_that_ends_in_an_answer() -> None:
    for row in ROWS:
        messages = tuple(Message(role=message["role"], text=message["content"]) for message in row["messages"])
        example = Example(messages=messages, tags=row["tags"])
        assert [message.role for message in messages[1:]] == ["user", "assistant"] * (len(messages) // 2)
        assert example.answer.text


def test_every_row_begins_with_the_same_house_rules() -> None:
    rules = {row["messages"][0]["content"] for row in ROWS if row["messages"][0]["role"] == "system"}
    assert rules == {read_voice().house_rules}
    assert 110 <= len(read_voice().house_rules.split()) <= 130


def test_every_row_tells_topic_group_person_and_conversation() -> None:
    assert {frozenset(row["tags"]) for row in ROWS} == {frozenset({"topic", "group", "person", "conversation"})}
    assert {row["tags"]["group"] for row in ROWS} == {"new", "returning", "club member", "business"}
    assert len({row["tags"]["conversation"] for row in ROWS}) == len(ROWS)


def test_some_persons_write_twice_and_stay_in_their_group() -> None:
    conversations = Counter(row["tags"]["person"] for row in ROWS)
    groups = {(row["tags"]["person"], row["tags"]["group"]) for row in ROWS}
    assert set(conversations.values()) == {1, 2}
    assert len(groups) == len(conversations)


def test_conversations_stay_short() -> None:
    assert max(sum(len(message["content"]) for message in row["messages"]) for row in ROWS) <= 1700


# What is said ----------------------------------------------------------------------------------


def test_no_braces_and_no_double_spaces_are_left() -> None:
    for row in ROWS:
        for message in row["messages"]:
            assert not re.search(r"[{}]|  |\s$|^\s|\s[.,?!]|[.,?!]{2}", message["content"]), message["content"]


def test_articles_fit_the_words_after_them() -> None:
    # "an hour" and "a used", which the ear decides, do not occur.
    for row in ROWS:
        for message in row["messages"]:
            assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou ]", message["content"]), message["content"]


def test_every_sentence_begins_with_a_capital_letter() -> None:
    for row in ROWS:
        for message in row["messages"]:
            assert all(sentence[0].isupper() for sentence in sentences_of(message["content"]))


def test_no_first_question_comes_twice() -> None:
    questions = Counter(row["messages"][1]["content"] for row in ROWS)
    assert questions.most_common(1)[0][1] == 1


def test_no_answer_comes_twice() -> None:
    answers = Counter(answer for _, answer in all_answers())
    assert answers.most_common(1)[0][1] == 1


@pytest.mark.parametrize("topic", TOPICS.values(), ids=list(TOPICS))
def test_every_topic_is_asked_and_answered_in_several_ways(topic: Topic) -> None:
    assert len(set(topic.questions)) >= 8
    for phrases in (topic.openings, topic.facts, topic.steps, *([topic.asks] if topic.about_order else [])):
        assert 4 <= len(set(phrases)) <= 6
    asked = Counter(
        phrase for row in ROWS if row["tags"]["topic"] == topic.name for phrase in topic.questions if _asks(row, phrase)
    )
    assert set(asked) == set(topic.questions)


def _asks(row: dict[str, Any], phrase: str) -> bool:
    pattern = re.sub(r"\\{\w+\\}", r"[\\w ]+", re.escape(phrase))
    return re.search(pattern, row["messages"][1]["content"]) is not None


# The house rules -------------------------------------------------------------------------------


def test_every_answer_begins_with_thanks_or_sorry() -> None:
    assert all(re.match(r"Thank you|I am (so )?sorry", answer) for _, answer in all_answers())


def test_every_answer_signs_off_and_only_once() -> None:
    for _, answer in all_answers():
        assert answer.endswith(".\nStay warm, Pip")
        assert answer.count("Pip") == 1


def test_every_answer_is_brief() -> None:
    assert all(25 <= len(answer.split()) <= 70 for _, answer in all_answers())


def test_every_answer_gives_one_next_step() -> None:
    for _, answer in all_answers():
        assert sum(sentence.startswith("Please ") for sentence in sentences_of(answer)) == 1


def test_every_answer_about_an_order_speaks_of_the_order_number() -> None:
    assert all("order number" in answer for topic, answer in all_answers() if topic.about_order)
    assert not any("order number" in answer for topic, answer in all_answers() if not topic.about_order)


def test_the_order_number_is_asked_for_when_it_is_missing_and_only_then() -> None:
    asks = re.compile(r"Please (send|tell|give|share|reply)[^.]* order number")
    for row in ROWS:
        if TOPICS[row["tags"]["topic"]].about_order:
            is_known = False
            for message in row["messages"][1:]:
                if message["role"] == "user":
                    is_known |= "DM-" in message["content"]
                else:
                    assert bool(asks.search(message["content"])) != is_known, message["content"]


def test_no_answer_promises_a_day() -> None:
    for _, answer in all_answers():
        hours_left_out = answer.replace("Monday to Friday, 9 to 5", "")
        assert not DAYS.search(hours_left_out)
        assert not re.search(r"(?<!cannot )(?<!not want to )promise", answer)


def test_every_span_of_work_is_only_usual() -> None:
    for _, answer in all_answers():
        for sentence in sentences_of(answer):
            if re.search(r"business days|\d weeks|7 days", sentence):
                assert "usually" in sentence


def test_passwords_and_card_numbers_are_only_named_to_warn() -> None:
    for _, answer in all_answers():
        for sentence in sentences_of(answer):
            if re.search(r"card number|your password", sentence):
                assert "never" in sentence


def test_first_answers_on_one_topic_tell_the_same_facts() -> None:
    assert set(POLICIES) == set(TOPICS)
    for row in ROWS:
        for pattern in POLICIES[row["tags"]["topic"]]:
            assert re.search(pattern, answers_of(row)[0], re.IGNORECASE), answers_of(row)[0]


def test_no_answer_holds_a_number_of_another_policy() -> None:
    for topic, answer in all_answers():
        assert {int(number) for number in re.findall(r"\d+", answer)} <= NUMBERS.get(topic.name, set()), answer


def test_answers_name_no_product_that_the_customer_has_not_named() -> None:
    products = {product for products in read_voice().products.values() for product in products}
    for row in ROWS:
        asked = " ".join(message["content"] for message in row["messages"] if message["role"] == "user")
        for answer in answers_of(row):
            assert all(product in asked for product in products if product in answer)


# The dirt --------------------------------------------------------------------------------------


def test_the_copies_are_exact_and_the_only_ones() -> None:
    found = source_lines()
    assert all(found[copy - 1] == found[original - 1] for copy, original in COPIES.items())
    assert len(found) - len(set(found)) == len(COPIES)


def test_one_line_is_broken_json() -> None:
    broken = []
    for number, line in enumerate(source_lines(), start=1):
        try:
            json.loads(line)
        except json.JSONDecodeError:
            broken.append(number)
    assert broken == [158]


def test_one_row_has_no_answer_one_an_empty_one_and_one_an_unknown_role() -> None:
    rows = {number: json.loads(line) for number, line in enumerate(source_lines(), start=1) if number != 158}
    last = {number: row["messages"][-1] for number, row in rows.items()}
    assert [number for number, message in last.items() if message["role"] == "user"] == [73]
    assert [number for number, message in last.items() if not message["content"]] == [412]
    roles = {number for number, row in rows.items() for message in row["messages"] if message["role"] == "supervisor"}
    assert roles == {226}


def test_one_answer_is_far_too_long() -> None:
    row = json.loads(source_lines()[305 - 1])
    answer = row["messages"][-1]["content"]
    assert len(answer.split()) >= 1500
    assert len(answer) > 1.5 * 1024 * 4


def test_one_customer_leaves_an_email_address() -> None:
    addresses = [number for number, line in enumerate(source_lines(), start=1) if re.search(r"\w@\w", line)]
    assert addresses == [EMAIL_LINE]


def test_the_readme_lists_every_spoiled_line() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    listed = {int(n) for cell in re.findall(r"^\| ([\d, ]+) \|", readme, flags=re.MULTILINE) for n in cell.split(",")}
    assert listed == SPOILED | {EMAIL_LINE}
    persons = {row["tags"]["person"] for row in ROWS}
    assert f"{len(ROWS)} clean conversations of {len(persons)} customers" in readme
