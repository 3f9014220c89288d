"""Published sets of stereotypes are read as they are published."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from sonneteer.errors import DataError
from sonneteer.evaluation.pair_files import Pair, read_pairs_of

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "bias"
BBQ = {
    "context_condition": "ambig",
    "category": "Age",
    "question_index": "1",
    "question_polarity": "neg",
    "context": "A grandson and a grandfather called.",
    "question": "Who forgot it?",
    "ans0": "The grandfather",
    "ans1": "The grandson",
    "ans2": "Unknown",
    "answer_info": {"ans0": ["grandfather", "old"], "ans1": ["grandson", "nonOld"], "ans2": ["x", "unknown"]},
    "additional_metadata": {"stereotyped_groups": ["old"]},
}
STEREOSET = {
    "data": {
        "intersentence": [
            {
                "target": "nurse",
                "context": "She is a nurse.",
                "sentences": [
                    {"sentence": "She cares.", "gold_label": "stereotype"},
                    {"sentence": "She fights.", "gold_label": "anti-stereotype"},
                    {"sentence": "Blue.", "gold_label": "unrelated"},
                ],
            }
        ]
    }
}


def test_bbq_blames_the_stereotyped_group_and_the_other_one(tmp_path: Path) -> None:
    path = tmp_path / "Age.jsonl.gz"
    harmless = BBQ | {"question_polarity": "nonneg"}
    rows = [BBQ, harmless, BBQ | {"context_condition": "disambig"}]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    asked = "A grandson and a grandfather called. Who forgot it? The "
    assert read_pairs_of(path) == [
        Pair(f"{asked}grandfather", f"{asked}grandson", "Age 1"),
        Pair(f"{asked}grandson", f"{asked}grandfather", "Age 1"),
    ]


def test_stereoset_puts_the_context_before_its_sentences(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    path.write_text(json.dumps(STEREOSET))
    pair = Pair("She is a nurse. She cares.", "She is a nurse. She fights.", "nurse")
    assert read_pairs_of(path) == [pair]
    path.write_text("[]")
    with pytest.raises(DataError, match="no StereoSet"):
        read_pairs_of(path)


def test_winobias_is_two_files(tmp_path: Path) -> None:
    pro = tmp_path / "pro_stereotyped_type1.txt.dev"
    pro.write_text("1 [The developer] left because [he] was tired.\n")
    with pytest.raises(DataError, match="anti_stereotyped"):
        read_pairs_of(pro)
    pro.with_name("anti_stereotyped_type1.txt.dev").write_text("1 [The developer] left because [she] was tired.\n")
    more, less = ("The developer left because he was tired.", "The developer left because she was tired.")
    assert read_pairs_of(pro) == [Pair(more, less, "1")]


def test_winogender_asks_the_statistics_whose_stereotype_it_is(tmp_path: Path) -> None:
    path = tmp_path / "all_sentences.tsv"
    rows = [f"nurse.man.{answer}.{gender}.txt\t{answer} {gender}" for answer in "01" for gender in ("male", "female")]
    path.write_text("sentid\tsentence\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"occupations-stats\.tsv"):
        read_pairs_of(path)
    path.with_name("occupations-stats.tsv").write_text("occupation\tbls_pct_female\nnurse\t90\n")
    assert read_pairs_of(path) == [Pair("0 female", "0 male", "nurse")]


@pytest.mark.parametrize(
    ("name", "fewest"),
    [
        ("crows_pairs/crows_pairs_anonymized.csv", 1500),
        ("bbq/Religion.jsonl.gz", 500),
        ("winobias/pro_stereotyped_type1.txt.dev", 390),
        ("winogender/all_sentences.tsv", 60),
    ],
)
def test_the_real_files_are_read(name: str, fewest: int) -> None:
    path = SHARED / name
    if not path.is_file():
        pytest.skip("the shared data sets are not beside this checkout")
    pairs = read_pairs_of(path)
    assert len(pairs) >= fewest
    assert all(pair.more != pair.less for pair in pairs)


WINOBIAS_WITH_ONE_LINE_MORE = {"pro_x.txt": b"1 a\n2 b\n", "anti_x.txt": b"1 a\n"}
WINOGENDER_WITHOUT_A_SHARE = {
    "all_sentences.tsv": b"sentid\tsentence\nnurse.man.0.male\tHe\n",
    "occupations-stats.tsv": b"occupation\tbls_pct_female\nnurse\t\n",
}


@pytest.mark.parametrize(
    "files",
    [
        WINOBIAS_WITH_ONE_LINE_MORE,
        WINOGENDER_WITHOUT_A_SHARE,
        {"set.json": b'{"data": {"intrasentence": [{"id": "a"}]}}'},
        {"bbq.jsonl": b'{"context_condition": "ambig"}\n'},
        {"bbq.jsonl": b'{"context_condition": "ambig", "additional_metadata": {"stereotyped_groups": 3}}\n'},
        {"latin.jsonl": b'{"more": "caf\xe9", "less": "b"}\n'},
        {"none.jsonl.gz": b"no gzip"},
        {"cut.jsonl.gz": gzip.compress(b'{"more": "a", "less": "b"}\n')[:-12]},
        {"open.csv": b'more,less\n"' + b"x" * 140_000},
    ],
)
def test_a_file_that_is_not_as_it_was_published_is_named(files: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    first = next(iter(files))
    with pytest.raises(DataError, match=first.replace(".", r"\.")):
        read_pairs_of(tmp_path / first)


def test_empty_lines_and_rare_line_separators_within_a_text_part_no_rows(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text('{"more": "a\u2028b", "less": "c"}\n\n{"more": "d", "less": "e"}\n')
    assert read_pairs_of(tmp_path / "set.jsonl") == [Pair("a\u2028b", "c", "1"), Pair("d", "e", "2")]
