"""The commands: what they call, what they print for people and for machines, and how they end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sonneteer import lifecycle, preparation
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import Interval
from sonneteer.search.space import with_settings
from sonneteer.store import Store
from sonneteer.training.plan import Plan, Tokens
from sonneteer.training.range_test import RangeTest
from tests.cli.conftest import MODEL, Command, Lifecycle
from tests.data.writing import question, write_lines

HEAVY = ("torch", "transformers", "pyarrow", "sqlalchemy", "scipy", "numpy", "starlette", "matplotlib")
NOT_TO_ASK = ("torch", "transformers", "peft", "optuna", "matplotlib")
COMMANDS = (
    "init",
    "prepare",
    "ledger",
    "card",
    "diff",
    "plan",
    "search",
    "train",
    "evaluate",
    "chat",
    "serve",
    "run",
    "doctor",
)


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = (
        f"import sys; from sonneteer.cli import main; code = main({words!r}); "
        f"sys.exit(code or ' '.join(name for name in {HEAVY!r} if name in sys.modules) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_whoever_asks_of_what_is_there_does_not_wait_for_pytorch(tmp_path: Path) -> None:
    """All in one process, which would take seconds for each. There is no model yet: who needs one says so."""
    write_lines(tmp_path / "a.jsonl", [question(i) for i in range(30)])
    (tmp_path / "recipe.yaml").write_text("name: demo\ndata: {sources: a.jsonl}\n")
    loaded, workspace = read_recipe(tmp_path / "recipe.yaml"), ["--workspace", str(tmp_path / "workspace")]
    recipe = str(loaded.path)
    dataset = preparation.prepare(loaded, Store(tmp_path / "workspace"), Silent())
    commands: list[list[str]] = [
        *([name, recipe] for name in ("prepare", "ledger", "card", "harvest")),
        ["diff", dataset.id, dataset.id],
        *(["audit", what] for what in ("show", "verify")),
        ["forget", "nobody"],
        ["key", "list"],
        ["doctor"],
        ["case", "add", recipe, "--ask", "Open?", "--bad", "Never.", "--good", "Daily."],
        ["case", "list", recipe],
    ]
    of_a_model: list[list[str]] = [
        *([name, recipe] for name in ("advise", "judge", "promote", "review", "monitor")),
        ["compare", "a", "b"],
        ["feedback", "msg_1", "--good"],
        *([name, "demo"] for name in ("deployment", "rollback")),
    ]
    code = (
        "import sys; from sonneteer.cli import main\n"
        f"ended = [main([*words, *{workspace!r}]) for words in {commands + of_a_model!r}]\n"
        f"sys.exit(str((ended, [name for name in {NOT_TO_ASK!r} if name in sys.modules])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == str(([0] * len(commands) + [3] * len(of_a_model), []))


def test_python_m_sonneteer_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "sonneteer", "--version"], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("sonneteer ")


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_help_names_every_command(sonneteer: Command, words: tuple[str, ...]) -> None:
    said = sonneteer(*words)
    assert said.code == 0
    for command in COMMANDS:
        assert f" {command} " in said.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_speaks_to_machines(sonneteer: Command, command: str) -> None:
    said = sonneteer(command, "--help")
    assert said.code == 0
    assert "--json" in said.out


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        ("case", ("add", "list")),
        ("key", ("add", "list", "revoke")),
        ("audit", ("show", "verify")),
        ("vault", ("make", "reveal")),
    ],
)
def test_a_group_names_its_commands_and_each_takes_only_what_it_reads(
    sonneteer: Command, group: str, commands: tuple[str, ...]
) -> None:
    said = sonneteer(group, "--help").out
    for command in commands:
        assert f" {command} " in said
        assert "--workspace" in sonneteer(group, command, "--help").out
    assert f"Missing command. What there is: sonneteer {group} --help" in sonneteer(group).err
    assert sonneteer("key", "revoke", "shop", "--role", "admin").code == 3
    assert sonneteer("audit", "show", "--json").document["command"] == "audit show"


@pytest.mark.parametrize(
    "command", ["prepare", "ledger", "card", "plan", "search", "train", "evaluate", "run", "chat", "serve"]
)
def test_what_follows_a_recipe_says_where_the_recipe_and_the_workspace_are(sonneteer: Command, command: str) -> None:
    said = sonneteer(command, "--help")
    assert "./recipe.yaml" in said.out
    assert "--workspace" in said.out
    assert "SONNETEER_WORKSPACE" in said.out


# Where things are ---------------------------------------------------------------------------------


def test_recipe_settings_and_options_may_stand_in_any_order(
    sonneteer: Command, stages: Lifecycle, folder: Path
) -> None:
    (folder / "other.yaml").write_text("name: other\ndata: {sources: a.jsonl}\n")
    words = ["train", "--training.rank", "3", "other.yaml", "--workspace", "elsewhere", "--seed", "7"]
    words.insert(6, "--training.learning_rate=1e-4")
    assert sonneteer(*words).code == 0
    assert stages.loaded is not None
    assert stages.store is not None
    recipe = stages.loaded.recipe
    assert (recipe.name, recipe.training.rank, recipe.training.learning_rate, recipe.seed) == ("other", 3, 1e-4, 7)
    assert stages.store.root == folder / "elsewhere"


def test_without_words_the_recipe_is_recipe_yaml_and_the_workspace_lies_beside_the_work(
    sonneteer: Command, stages: Lifecycle, folder: Path
) -> None:
    assert sonneteer("train").code == 0
    assert stages.store is not None
    assert stages.store.root == folder / "workspace"


def test_the_workspace_may_come_from_the_environment(
    sonneteer: Command, stages: Lifecycle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SONNETEER_WORKSPACE", "from-environment")
    assert sonneteer("train").code == 0
    assert stages.store is not None
    assert stages.store.root == folder / "from-environment"


def test_a_bad_recipe_makes_no_workspace(sonneteer: Command, stages: Lifecycle, folder: Path) -> None:
    said = sonneteer("train", "--training.rnk", "3", "--training.epochs", "0")
    assert said.code == 3
    assert "training.rnk: no such setting. Did you mean 'rank'?" in said.err
    assert "training.epochs is 0, but must be greater than 0." in said.err
    assert stages.calls == []
    assert not (folder / "workspace").exists()


def test_two_recipes_are_refused(sonneteer: Command) -> None:
    said = sonneteer("train", "a.yaml", "b.yaml")
    assert said.code == 3
    assert "Name one recipe, and not 2: a.yaml b.yaml." in said.err


def test_how_another_tools_names_were_understood_is_told(sonneteer: Command, stages: Lifecycle) -> None:
    note = "lora_r (Axolotl, TRL) -> training.rank"
    assert note in sonneteer("train", "--lora_r", "4").err
    assert sonneteer("train", "--lora_r", "4", "--json").document["notes"] == [note]


# The stages ---------------------------------------------------------------------------------------


def test_prepare_shows_the_ledger_and_its_sum(sonneteer: Command, stages: Lifecycle) -> None:
    said = sonneteer("prepare")
    assert said.code == 0
    assert stages.calls == ["prepare"]
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in said.out.splitlines() if "│" in line}
    assert rows["train"] == "5"
    assert rows["duplicate"] == "1"
    assert rows["all rows"] == "9"
    assert "broken" not in rows
    assert "9 rows were read." in said.err


@pytest.mark.parametrize(
    ("words", "count"), [(["--show"], 3), (["--show", "2"], 2), (["--show=1"], 1), (["--show", "recipe.yaml"], 3)]
)
def test_prepare_shows_as_many_examples_as_wanted(
    sonneteer: Command, stages: Lifecycle, words: list[str], count: int
) -> None:
    said = sonneteer("prepare", *words)
    assert said.code == 0
    assert stages.calls == ["prepare", f"show {count}"]
    assert f"Example {count}: 2 learned tokens of 3" in said.out
    assert "Hi there!" in said.out


def test_shown_examples_tell_machines_which_tokens_are_learned(sonneteer: Command, stages: Lifecycle) -> None:
    document = sonneteer("prepare", "--show", "1", "--json").document
    assert document["examples"] == [
        [
            {"token": "Hi", "is_learned": False},
            {"token": " there", "is_learned": True},
            {"token": "!", "is_learned": True},
        ]
    ]
    assert document["dataset"]["totals"]["train"] == 5


PLAN = Plan(
    tokens=Tokens(naive=2000, unique=1000, learned=500, largest=100, steps=30, epoch_steps=10),
    parameters=1000,
    trained_parameters=10,
    memory_gb=Interval(value=2, low=1, high=3),
    available_gb=8,
    seconds=Interval(value=600, low=60, high=6000),
    disk_gb=0.1,
    free_disk_gb=5,
    runs=2,
    costs={"this machine": None, "rented": 1.5},
    currency="EUR",
)


@pytest.mark.parametrize(("problems", "code"), [((), 0), (("Memory: choose lora.",), 3)])
def test_plan_shows_what_training_takes_and_what_cannot_fit(
    sonneteer: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, problems: tuple[str, ...], code: int
) -> None:
    plan = PLAN.model_copy(update={"problems": problems})
    monkeypatch.setattr(lifecycle, "plan", lambda *_: plan)
    said = sonneteer("plan")
    assert said.code == code
    for words in ("2.00 x less", "25% of the tokens", "1.0, 2.0, 3.0 GB", "60 s, 10 min, 1.7 h", "1.50 EUR", *problems):
        assert words in said.out
    assert "no price yet" in said.out
    assert sonneteer("plan", "--json").document["plan"]["tokens"]["unique"] == 1000


def test_search_writes_a_recipe_with_what_it_found(
    sonneteer: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(loaded: LoadedRecipe, *_: object) -> lifecycle.Found:
        rates = RangeTest(rates=(0.1,), losses=(1.0,), learning_rate=0.01)
        return lifecycle.Found(with_settings(loaded.recipe, {"training.learning_rate": 0.01}), rates=rates)

    monkeypatch.setattr(lifecycle, "search", search)
    said = sonneteer("search")
    assert said.code == 0
    assert "Learning rate 1.0e-02" in said.out
    assert "sonneteer run recipe.best.yaml" in said.out
    assert "learning_rate: 0.01" in (folder / "recipe.best.yaml").read_text()
    assert sonneteer("search", "--write", "--json").document["recipe"] == "recipe.yaml"
    assert "learning_rate: 0.01" in (folder / "recipe.yaml").read_text()


def test_train_names_the_model_and_the_next_command(sonneteer: Command, stages: Lifecycle) -> None:
    said = sonneteer("train", "recipe.yaml", "--seed", "2", "--workspace", "w w")
    assert said.code == 0
    assert "demo-1" in said.out
    assert "sonneteer evaluate recipe.yaml --seed 2 --workspace 'w w'" in said.out


@pytest.mark.parametrize(("verdict", "code"), [("better", 0), ("not better", 2), ("cannot tell", 4)])
@pytest.mark.parametrize("command", ["evaluate", "run"])
def test_the_verdict_decides_the_exit_code(
    sonneteer: Command, stages: Lifecycle, command: str, verdict: str, code: int
) -> None:
    stages.verdict = verdict  # type: ignore[assignment]
    assert sonneteer(command).code == code
    said = sonneteer(command, "--json")
    assert said.code == code
    assert said.document["verdict"] == verdict
    assert said.document["exit_code"] == code
    assert said.document["report"]["comparisons"][0]["gain"] == {"value": 3.5, "low": 2.0, "high": None}


def test_run_shows_ledger_figures_reasons_dossier_and_what_to_do_next(
    sonneteer: Command, stages: Lifecycle, folder: Path
) -> None:
    said = sonneteer("run")
    assert stages.calls == ["prepare", "run", "dossier"]
    for words in (
        "all rows",
        "Better: the tuned model may replace its base.",
        "perplexity ↓",
        "12,346",
        "+3.5  [+2, +inf]",
        "-0.1  [-0.2, -0.05]",
        "perplexity fell, as required.",
        "chrf: not available. no answers",
        str(folder / "workspace" / "demo-dossier.html"),
        "sonneteer chat",
        "sonneteer serve",
    ):
        assert words in said.out


def test_a_mistyped_option_is_told_with_those_that_the_command_itself_has(sonneteer: Command, folder: Path) -> None:
    said = sonneteer("export", "--out", "here")
    assert (said.code, "out: no such setting" in said.err) == (3, True)
    assert "sonneteer export itself takes --to, --numbers, --folder, --model," in said.err
    assert "itself takes" not in sonneteer("export", "--training.epochs", "none").err


def test_a_later_version_is_named_in_what_to_do_next(sonneteer: Command, stages: Lifecycle, folder: Path) -> None:
    Store(folder / "workspace").save(MODEL.model_copy(update={"id": "demo-2", "number": 2}))
    said = sonneteer("evaluate").out
    for command in ("chat", "certify", "promote"):
        assert f"sonneteer {command} --model demo-2" in said


def test_the_json_of_a_command_is_all_that_stands_on_the_standard_output(sonneteer: Command, stages: Lifecycle) -> None:
    for command in ("prepare", "train", "evaluate", "run", "serve", "doctor"):
        said = sonneteer(command, "--json")
        assert said.document["command"] == command
        assert said.document["status"] == "done"
        assert said.err == ""


# Use ----------------------------------------------------------------------------------------------


def test_one_question_gets_one_answer(sonneteer: Command, stages: Lifecycle) -> None:
    said = sonneteer("chat", "--ask", "Hi?", "--model", "base", "--system", "Be brief.")
    assert said.out == "Hello there.\n"
    assert stages.calls == ["open_chat base"]
    assert [message.text for message in stages.chat.asked[0].messages] == ["Be brief.", "Hi?"]


def test_an_answer_for_machines_has_its_figures(sonneteer: Command, stages: Lifecycle) -> None:
    answer = sonneteer("chat", "--ask", "Hi?", "--json").document["answer"]
    assert answer["text"] == "Hello there."
    assert answer["stop_reason"] == "end"


def test_a_conversation_is_not_for_machines(sonneteer: Command, stages: Lifecycle) -> None:
    said = sonneteer("chat", "--json")
    assert said.code == 3
    assert "--ask" in said.document["problems"][0]


def test_stopping_the_server_is_an_interruption_in_peace(sonneteer: Command, stages: Lifecycle) -> None:
    stages.problem = KeyboardInterrupt()
    said = sonneteer("serve")
    assert said.code == 130
    assert said.out == "Stopped.\n"
