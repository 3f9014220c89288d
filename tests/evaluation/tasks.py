"""Tasks for the harness, one of each kind that it knows, with a few rows each."""

from __future__ import annotations

import json
from pathlib import Path

COLOURS = ["red", "blue", "green", "white as fresh snow"]
WORDS = ["cat", "dog", "order", "mat", "day"]
ROWS = {
    "colours": [{"question": f"Thing {i} is", "choices": COLOURS, "answer": i % 4} for i in range(12)],
    "endings": [{"begin": f"The {word} sat on the", "end": f" {word}"} for word in WORDS],
    "prose": [{"text": f"Where is the {word}? " * (40 * i + 1)} for i, word in enumerate(WORDS)],
    "sayings": [{"begin": f"Hello {word}", "end": "Hello"} for word in WORDS],
}
"""The longest text of `prose` does not fit into the context of the tiny models."""
SHAPES = {
    "colours": """
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc}, {metric: acc_norm}, {metric: mcc}]
""",
    "endings": """
output_type: loglikelihood
doc_to_text: "{{begin}}"
doc_to_target: "{{end}}"
metric_list: [{metric: perplexity}, {metric: acc}]
""",
    "prose": """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]
""",
    "sayings": """
output_type: generate_until
doc_to_text: "{{begin}}"
doc_to_target: "{{end}}"
generation_kwargs: {until: ["?", ".", ",", "!", ";"], max_gen_toks: 12, do_sample: false}
metric_list: [{metric: exact_match, ignore_case: true}]
""",
}


def write_tasks(folder: Path) -> Path:
    """Each task as a YAML file with its rows beside it."""
    folder.mkdir(parents=True)
    for name, shape in SHAPES.items():
        data = f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {name}.jsonl}}}}\ntest_split: test\n"
        (folder / f"{name}.yaml").write_text(f"task: {name}\n{data}{shape}")
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[name]))
    return folder
