"""Section `base`: the model to start from."""

from __future__ import annotations

from pydantic import Field, model_validator

from sonneteer.recipe.section import Section


class Architecture(Section):
    """A new model from scratch, instead of a pre-trained one."""

    vocabulary_size: int = Field(8192, ge=300)
    """Tokens of the byte-level BPE tokenizer that is trained on the training split."""
    hidden_size: int = Field(256, ge=16)
    """Width of the residual stream."""
    layers: int = Field(6, ge=1)
    """Number of transformer blocks."""
    heads: int = Field(4, ge=1)
    """Query heads of each block."""
    key_value_heads: int = Field(2, ge=1)
    """Key and value heads, shared by groups of query heads."""
    feed_forward_size: int = Field(704, ge=16)
    """Width of the gated feed-forward layer."""
    context: int = Field(1024, ge=64)
    """Longest sequence in tokens."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Architecture:
        for larger, smaller in (("hidden_size", "heads"), ("heads", "key_value_heads")):
            if getattr(self, larger) % getattr(self, smaller):
                raise ValueError(
                    f"base.from_scratch.{larger} is {getattr(self, larger)}, but must be a multiple of {smaller}, "
                    f"which is {getattr(self, smaller)}."
                )
        return self


class VocabularySettings(Section):
    """Words of the domain that become single tokens of the model, so that texts take fewer; docs/vocabulary.md."""

    new_terms: int = Field(0, ge=0)
    """At most this many words become tokens: those that save most on the training split. 0 adds none."""
    least_saving: int = Field(20, ge=1)
    """Of these only words that save at least so many tokens on the training split."""
    terms: str | None = None
    """A file with a word on each line: these become tokens, whatever they save."""

    @property
    def is_wanted(self) -> bool:
        """Whether the model gets any new token."""
        return self.new_terms > 0 or self.terms is not None


class BaseSettings(Section):
    """The model to start from."""

    model: str = "couplet"
    """'couplet' (bundled), a local folder, or a hub id such as Qwen/Qwen3-0.6B (only then is the hub asked)."""
    from_scratch: Architecture | None = None
    """Make a new model of this architecture and use `model` only as its name."""
    vocabulary: VocabularySettings = VocabularySettings()

    @model_validator(mode="after")
    def _has_words_to_join(self) -> BaseSettings:
        if self.from_scratch is not None and self.vocabulary.is_wanted:
            raise ValueError(
                "base.vocabulary is for a model that has its tokenizer already; one from scratch makes its own from "
                "the training split. Remove it, or raise base.from_scratch.vocabulary_size."
            )
        return self
