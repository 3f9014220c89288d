"""The price table is written once, read as the user edited it, and refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonneteer.errors import RecipeError
from sonneteer.store.prices import BEGINNING, read_prices


def test_a_table_is_written_once_and_never_over_the_users(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    assert read_prices(path).costs(3600) == {"this machine": None}
    assert path.read_text() == BEGINNING
    path.write_text("currency: USD\nmachines: {rented: {price_per_hour: 2, speed: 4}}\n")
    assert read_prices(path).costs(7200) == {"rented": 1.0}


@pytest.mark.parametrize("text", ["currency: [", "currency: EUR", "currency: EUR\nmachines: {a: {speed: 0}}"])
def test_a_table_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"prices\.yaml is no price table: .*Repair it"):
        read_prices(tmp_path / "prices.yaml")
