"""The vault on the command line: made, used by a preparation, and opened with a reason that the audit log keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sonneteer.cli import main
from sonneteer.data import prepare, read_split
from sonneteer.errors import LockedError
from sonneteer.recipe.sections import PrivacySettings
from sonneteer.records import KEPT
from sonneteer.store import Store
from tests.data.writing import WordReader, question, recipe_of, write_lines


def test_pseudonyms_of_a_preparation_are_undone_and_the_log_tells_who_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SONNETEER_VAULT_PASSPHRASE", "open sesame")
    vault, place = tmp_path / "people.vault", ["--workspace", str(tmp_path / "workspace"), "--json"]
    assert main(["vault", "make", str(vault), *place]) == 0
    rows = [question(number) for number in range(20)]
    rows[4] = {"prompt": "I am jane.roe@mail.com", "completion": "Hello."}
    write_lines(tmp_path / "x.jsonl", rows)
    privacy = PrivacySettings(emails="pseudonymise", vault="people.vault")
    store, recipe = Store(tmp_path / "workspace"), recipe_of("x.jsonl").model_copy(update={"privacy": privacy})
    dataset = prepare(recipe, tmp_path, store, WordReader())
    examples = [one for side in KEPT for one in read_split(store, dataset, side)]
    said = next(one.messages[0].text for one in examples if one.messages[0].text.startswith("I am "))
    capsys.readouterr()
    reveal = ["vault", "reveal", str(vault), said.removeprefix("I am "), "--type", "emails"]
    assert main([*reveal, "--reason", "court order", *place]) == 0
    assert json.loads(capsys.readouterr().out)["originals"] == {said.removeprefix("I am "): "jane.roe@mail.com"}
    deeds = [(entry.action, entry.content) for entry in store.audit_log() if entry.subject.startswith("vault/")]
    assert deeds == [
        ("make the vault", ""),
        ("open the vault", "to prepare support"),
        ("reveal pseudonyms", "1 of emails: court order"),
    ]
    assert main([*reveal, *place]) == 3
    assert "--reason" in capsys.readouterr().out
    monkeypatch.delenv("SONNETEER_VAULT_PASSPHRASE")
    assert prepare(recipe, tmp_path, store, WordReader()) == dataset  # what is known needs no key
    with pytest.raises(LockedError):
        prepare(recipe.model_copy(update={"seed": 9}), tmp_path, store, WordReader())
