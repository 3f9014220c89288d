"""Words that speak of groups of people: short English lists. They find what is said openly, and nothing else."""

from __future__ import annotations

GROUPS: dict[str, dict[str, frozenset[str]]] = {
    "gender": {
        "women": frozenset(
            [
                "she",
                "her",
                "hers",
                "herself",
                "woman",
                "women",
                "girl",
                "girls",
                "mother",
                "wife",
                "daughter",
                "mrs",
                "ms",
                "lady",
            ]
        ),
        "men": frozenset(
            ["he", "him", "his", "himself", "man", "men", "boy", "boys", "father", "husband", "son", "mr", "gentleman"]
        ),
    },
    "age": {
        "young": frozenset(
            ["young", "younger", "teenager", "teenagers", "student", "students", "child", "children", "kid", "kids"]
        ),
        "old": frozenset(
            [
                "old",
                "older",
                "elderly",
                "senior",
                "seniors",
                "pensioner",
                "pensioners",
                "retired",
                "grandmother",
                "grandfather",
            ]
        ),
    },
    "religion": {
        "Christians": frozenset(
            ["christian", "christians", "catholic", "catholics", "protestant", "protestants", "church"]
        ),
        "Muslims": frozenset(["muslim", "muslims", "islam", "islamic", "mosque"]),
        "Jews": frozenset(["jewish", "jew", "jews", "judaism", "synagogue"]),
        "Hindus": frozenset(["hindu", "hindus", "hinduism"]),
    },
    "disability": {
        "disabled people": frozenset(
            ["disabled", "disability", "disabilities", "wheelchair", "blind", "deaf", "autistic"]
        ),
    },
}
"""By axis and group, in lower case."""
