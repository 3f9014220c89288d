"""The recipe's section `data`: where the examples come from and what is done with them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sonneteer.recipe.section import Section


class PassageSettings(Section):
    """How documents are cut into passages."""

    characters: int = Field(2000, ge=100)
    """Longest passage in characters (about a quarter as many tokens). It ends with a paragraph or sentence."""
    overlap: int = Field(0, ge=0)
    """So many characters of one passage may be said again at the beginning of the next, in whole sentences."""

    @model_validator(mode="after")
    def _goes_on(self) -> PassageSettings:
        if self.overlap * 2 >= self.characters:
            raise ValueError("the overlap of passages must be less than half of their characters.")
        return self


class SourceSettings(Section):
    """One place with raw records: .jsonl, .json, .csv, .tsv, .parquet or .txt, also as .gz, .xz or .zst."""

    path: str
    """File, folder or pattern (logs/*.jsonl.gz) from the recipe's folder; a bucket's or database's URL; hf:org/name."""
    passages: PassageSettings | None = None
    """Read .pdf, .docx, .html, .md, .txt and .eml as documents, cut into passages: `{characters: 2000, overlap: 0}`."""
    query: str = ""
    """SQL whose rows are read; `path` is then SQLAlchemy's URL, where $NAME is a variable of the environment."""
    encoding: str = "auto"
    """Character encoding, such as cp1252. 'auto' detects it and says what it found."""
    licence: str = ""
    """Licence or terms under which these rows may be used; the data card shows it."""
    format: str = "auto"
    """The rows' shape. 'auto' recognises it and says what it found."""
    fields: dict[str, str] = Field(default_factory=dict)
    """Fields under other names: the name that a known shape uses, and the one in the file, as in `output: reply`."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Tags that every example of this file gets, such as `topic: billing`."""
    split: Literal["auto", "train", "validation", "test", "replay"] = "auto"
    """The side that this file is officially for. What of it would leak into a side of others is dropped there. 'replay'
    is for general examples against forgetting: see `training.replay_share`."""


class CleanSettings(Section):
    """What is repaired, what is left out, and what is only noted in the ledger."""

    unicode: bool = True
    """Write equal characters equally (NFC) and remove invisible ones that no script needs."""
    white_space: bool = True
    """Remove spaces at the ends of lines and texts, and blank lines beyond two in a row."""
    markup: bool = False
    """Remove remains of HTML: tags, comments, entities such as &amp;. Leave it off where code or HTML is learned."""
    languages: tuple[str, ...] = ()
    """Languages to keep, as in `[en, de]`; the others are dropped. Empty keeps all."""
    rules: Literal["off", "chat", "gopher"] = "off"
    """Drop by Gopher's rules of length, repetition and symbols: 'gopher' for web pages, 'chat' fits short answers."""
    limits: dict[str, float] = Field(default_factory=dict)
    """Limits of single rules that replace those of `rules`, as in `fewest_words: 3`."""
    boilerplate: Literal["off", "flag", "drop"] = "flag"
    """Answers such as 'As an AI language model, I cannot': noted, or dropped."""
    boilerplate_phrases: tuple[str, ...] = ()
    """Further phrases, in lower case, that make an answer boilerplate."""
    near_duplicates: Literal["off", "together", "drop"] = "together"
    """Conversations that say nearly the same stay on one side of the split, or all but the first are dropped."""
    near_duplicate_share: float = Field(0.8, gt=0.3, le=1)
    """Share of three-word sequences in common (Jaccard) from which two conversations say nearly the same. In writing
    without spaces, such as Chinese, Japanese and Thai, every letter counts as a word."""
    evaluation_files: tuple[str, ...] = ()
    """Files of evaluation sets, relative to the recipe's folder: examples that hold their text are dropped."""
    contaminated_share: float = Field(0.5, gt=0, le=1)
    """Share of an evaluation text's 13-word sequences in an example from which the example is contaminated; in writing
    without spaces they are of 26 letters."""
    contradictions: Literal["off", "flag", "drop"] = "flag"
    """Examples that ask exactly the same and answer differently: noted, or all of them dropped."""
    wrong_labels: Literal["off", "flag", "drop"] = "flag"
    """Labels of classification-like data that a classifier trained on the rest contradicts: noted, or dropped."""


Axis = Literal["gender", "age", "religion", "origin"]
"""What groups of people are told apart by."""


class BalanceSettings(Section):
    """How much of each topic or group there may and must be."""

    by: str | None = None
    """Tag, such as topic, whose values are counted."""
    most: int | None = Field(None, ge=1)
    """Examples of each value beyond this many are dropped, drawn by a hash of their content."""
    fewest: int | None = Field(None, ge=1)
    """The preparation fails where a value has fewer examples."""
    weights: dict[str, float] = Field(default_factory=dict)
    """How much the answers of a value count in the training's loss, as in `{refunds: 2}`; those of others count 1."""
    swaps: tuple[Axis, ...] = ()
    """Also learn a copy of each training example that mentions a group, with another group in its place. Copies have
    the tag `swapped` and are on the training's side alone. English."""

    @model_validator(mode="after")
    def _knows_what_to_count(self) -> BalanceSettings:
        wrong = [value for value, weight in self.weights.items() if weight <= 0]
        if wrong:
            raise ValueError(
                f"data.balance.weights: the weight of '{wrong[0]}' is {self.weights[wrong[0]]:g}, but must be above 0."
            )
        if self.by is None and (self.most or self.fewest or self.weights):
            raise ValueError(
                "data.balance.most, data.balance.fewest and data.balance.weights need data.balance.by: the tag to "
                "count."
            )
        return self


class DataSettings(Section):
    """Where the examples come from and how they are prepared."""

    sources: tuple[SourceSettings, ...]
    """Files to read. A plain path, or a list of paths, will do."""
    remove_duplicates: bool = True
    """Keep only the first of several examples that say exactly the same."""
    max_tokens: int = Field(1024, ge=8)
    """Longest example in tokens, prompt and answer together. Nothing is ever cut."""
    over_length: Literal["drop", "fail"] = "drop"
    """What becomes of an example longer than `max_tokens`: it is dropped and listed, or the preparation fails."""
    bad_rows_share: float = Field(0.05, ge=0, le=1)
    """Share of unreadable rows up to which the rest goes on."""
    fail_above: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """Shares of the rows, by fate, above which the preparation fails, as in `{too_long: 0.02, dropped: 0.1}`."""
    keep_together: tuple[str, ...] = ("person", "conversation", "document")
    """Tags whose equal values never lie on two sides of the split."""
    validation_share: float = Field(0.1, ge=0, lt=1)
    """Share of the examples that watch the training and are not learned."""
    test_share: float = Field(0.15, ge=0, lt=1)
    """Share of the examples that are sealed until the verdict."""
    validation_examples: int | None = Field(None, ge=1)
    """Number of examples that watch the training, instead of `validation_share`."""
    test_examples: int | None = Field(None, ge=1)
    """Number of examples that are sealed, instead of `test_share`."""
    stratify_by: str | None = None
    """Tag, such as topic, of whose values every side gets its share."""
    split_by_time: bool = False
    """Seal the newest examples, by the tag `time`, and watch with those before them."""
    leaks: Literal["drop", "keep"] = "drop"
    """Where files are officially for one side: what train has in common with the others is dropped, or kept as is."""

    processes: int | None = Field(None, ge=1)
    """Processes that share the work; `null` takes all cores (on Linux). The result is the same."""
    spread: Literal["processes", "ray"] = "processes"
    """Share the work on this machine, or on a cluster through Ray Data (pip install 'sonneteer[ray]')."""

    clean: CleanSettings = CleanSettings()
    balance: BalanceSettings = BalanceSettings()

    @model_validator(mode="after")
    def _leaves_something_to_learn(self) -> DataSettings:
        together = self.validation_share + self.test_share
        if together >= 1:
            raise ValueError(
                f"data.validation_share and data.test_share are {together:g} together: nothing is left to learn from. "
                "Make them less than 1."
            )
        return self
