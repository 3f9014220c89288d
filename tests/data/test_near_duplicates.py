"""Near-duplicates are found, verified, and clustered."""

from __future__ import annotations

import itertools
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonneteer.data import near_duplicates as near
from sonneteer.data.candidates import Candidate
from sonneteer.data.clean import parted_from_alike
from sonneteer.data.hands import Hands
from sonneteer.data.ledger import Ledger
from sonneteer.data.near_duplicates import bands_for, jaccard, near_duplicates, shingles
from sonneteer.recipe.sections import CleanSettings
from sonneteer.records import Example, Message, SplitName

WORDS = [f"word{number}" for number in range(400)]
UNSPACED = {
    "Chinese": "我们 您 退货 包裹 地址 订单 付款 天 之内 可以 不能 如果 已经 收到 银行 卡 客服 请 的 了 是 在 和",
    "Japanese": "返品 荷物 住所 注文 お支払い 三十 日 以内 できます もし 届いた 銀行 カード ください の は を が",
    "Thai": "คืนสินค้า พัสดุ ที่อยู่ คำสั่งซื้อ ชำระเงิน ภายใน วัน สามารถ ไม่ได้ ถ้า แล้ว ได้รับ ธนาคาร บัตร ติดต่อ กรุณา การ ความ ของ",
    "Lao": "ສົ່ງຄືນ ພັດສະດຸ ທີ່ຢູ່ ສັ່ງຊື້ ຊຳລະ ພາຍໃນ ມື້ ສາມາດ ບໍ່ໄດ້ ຖ້າ ແລ້ວ ໄດ້ຮັບ ທະນາຄານ ບັດ ຕິດຕໍ່ ກະລຸນາ ຂອງ ແມ່ນ",
    "Khmer": "ត្រឡប់ កញ្ចប់ អាសយដ្ឋាន ការបញ្ជាទិញ បង់ប្រាក់ ក្នុង ថ្ងៃ អាច មិន ប្រសិនបើ រួចហើយ ទទួល ធនាគារ កាត ទាក់ទង សូម របស់",
    "Burmese": "ပြန်ပို့ ပါဆယ် လိပ်စာ အော်ဒါ ငွေပေးချေ အတွင်း ရက် နိုင်သည် မရပါ အကယ်၍ ပြီးပြီ ရရှိ ဘဏ် ကတ် ဆက်သွယ် ကျေးဇူးပြု၍ ၏",
}
"""Words of writing that puts no spaces between them."""


def said(text: str, row: int = 1, side: SplitName | None = None, system: str = "") -> Candidate:
    opening = (Message(role="system", text=system),) if system else ()
    turns = (*opening, Message(role="user", text="Tell me."), Message(role="assistant", text=text))
    return Candidate.of("x.jsonl", row, Example(messages=turns), side)


def drawn(rng: random.Random, length: int = 40) -> list[str]:
    return rng.choices(WORDS, k=length)


def edited(words: list[str], rng: random.Random, edits: int) -> list[str]:
    copy = list(words)
    for place in rng.sample(range(len(copy)), edits):
        copy[place] = rng.choice(WORDS)
    return copy


def test_what_an_exhaustive_comparison_finds_is_found_and_nothing_else() -> None:
    rng = random.Random(4)
    texts = [drawn(rng) for _ in range(150)]
    texts += [edited(rng.choice(texts[:150]), rng, rng.randint(0, 6)) for _ in range(150)]
    candidates = [said(" ".join(words)) for words in texts]
    sets = [frozenset(shingles(candidate.example)) for candidate in candidates]
    true = {(a, b) for a, b in itertools.combinations(range(300), 2) if jaccard(sets[a], sets[b]) >= 0.7}
    alike = near_duplicates(candidates, 0.7)
    together = sum(alike.clusters[a] == alike.clusters[b] for a, b in true)
    assert together >= 0.98 * len(true)
    assert len(true) > 80
    for index, (partner, share) in alike.partners.items():
        assert share == jaccard(sets[index], sets[partner]) >= 0.7


def test_several_processes_find_the_same_also_after_this_one_has_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(1)
    candidates = [said(" ".join(edited(drawn(random.Random(place % 9)), rng, place // 9 % 2))) for place in range(30)]
    alone = near_duplicates(candidates, 0.7)
    monkeypatch.setattr(near, "AT_ONCE", 4)
    assert near_duplicates(candidates, 0.7, Hands(2)) == alone
    assert set(alone.clusters) == set(range(9))


@pytest.mark.parametrize("seed", range(5))
def test_the_first_of_a_cluster_stands_for_it(seed: int) -> None:
    rng = random.Random(seed)
    words = drawn(rng)
    candidates = [said(" ".join(edited(words, rng, place % 2))) for place in range(6)]
    candidates += [said(" ".join(drawn(rng))) for _ in range(4)]
    alike = near_duplicates(candidates, 0.7)
    assert alike.clusters == [0] * 6 + [6, 7, 8, 9]
    assert set(alike.partners) == {1, 2, 3, 4, 5}


def test_a_shared_system_prompt_makes_nobody_alike() -> None:
    system = " ".join(WORDS)
    alike = near_duplicates([said("Yes, we deliver there.", system=system), said("No.", system=system)], 0.5)
    assert alike.clusters == [0, 1]


def test_what_has_no_words_is_like_nothing() -> None:
    turns = (Message(role="user", text="?"), Message(role="assistant", text="!"))
    wordless = [Candidate.of("x.jsonl", row, Example(messages=turns)) for row in (1, 2)]
    assert near_duplicates(wordless, 0.5).clusters == [0, 1]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9])
def test_the_bands_find_nearly_all_that_reach_the_threshold(threshold: float) -> None:
    bands, rows = bands_for(threshold)
    assert bands * rows <= 128
    assert 1 - (1 - (threshold + 0.05) ** rows) ** bands > 0.95


def alike_in(action: str, *candidates: Candidate) -> tuple[list[int], Ledger]:
    ledger = Ledger()
    ledger.open("x.jsonl", len(candidates))
    clean = CleanSettings.model_validate({"near_duplicates": action, "near_duplicate_share": 0.6})
    return [one.row for one in parted_from_alike(candidates, clean, ledger)], ledger


def test_near_duplicates_are_dropped_with_the_one_they_resemble() -> None:
    text = " ".join(WORDS[:30])
    kept, ledger = alike_in("drop", said(text, 1), said(f"{text} indeed", 2), said("Something else.", 3))
    assert kept == [1, 3]
    (entry,) = ledger.of_fate("near_duplicate")
    assert (entry.row, entry.reason) == (2, "nearly the same as x.jsonl:1 (91% of the three-word sequences)")


def test_near_duplicates_that_stay_are_marked_and_noted() -> None:
    text = " ".join(WORDS[:30])
    candidates = [said(text, 1), said(f"{text} indeed", 2), said("Something else.", 3)]
    kept, _ = alike_in("together", *candidates)
    assert kept == [1, 2, 3]
    assert candidates[0].cluster == candidates[1].cluster == candidates[0].id
    assert candidates[2].cluster == ""


def test_near_duplicates_on_two_official_sides_are_left_to_the_split() -> None:
    text = " ".join(WORDS[:30])
    kept, _ = alike_in("drop", said(text, 1, "train"), said(f"{text} indeed", 2, "test"))
    assert kept == [1, 2]


# Writing without spaces ------------------------------------------------------------------------


@settings(derandomize=True)  # MinHash itself misses a pair now and then
@given(st.sampled_from(list(UNSPACED.values())), st.integers(0, 2**32), st.integers(0, 2))
def test_a_small_edit_to_a_text_without_spaces_leaves_it_nearly_the_same(words: str, seed: int, letters: int) -> None:
    rng = random.Random(seed)
    text = "".join(rng.choices(words.split(), k=150))
    place = rng.randrange(len(text))
    changed = text[:place] + "".join(rng.choices(words, k=letters)) + text[place + 1 :]
    assert near_duplicates([said(text), said(changed)], 0.8).clusters == [0, 0]


@given(st.sampled_from(list(UNSPACED.values())), st.integers(0, 2**32), st.integers(4, 150))
def test_other_texts_of_the_same_words_without_spaces_are_not_alike(words: str, seed: int, length: int) -> None:
    rng = random.Random(seed)
    one, other = ("".join(rng.choices(words.split(), k=length)) for _ in range(2))
    assert near_duplicates([said(one), said(other)], 0.8).clusters == ([0, 0] if one == other else [0, 1])


@pytest.mark.parametrize("words", UNSPACED.values(), ids=list(UNSPACED))
def test_a_sentence_without_spaces_that_lacks_a_letter_has_most_sequences_in_common(words: str) -> None:
    sentence = words.replace(" ", "")
    one, other = (frozenset(shingles(said(text).example)) for text in (sentence, sentence[:20] + sentence[21:]))
    assert 0.8 < jaccard(one, other) < 1


@given(st.text(st.characters(max_codepoint=0x0DFF) | st.sampled_from(" ’“”–…€"), min_size=1))
def test_the_sequences_of_writing_with_spaces_are_those_of_its_words(text: str) -> None:
    padded = ["", "", *re.findall(r"\w+", f"tell me {text}".lower()), ""]
    assert shingles(said(text).example) == [" ".join(padded[place : place + 3]) for place in range(len(padded) - 2)]
