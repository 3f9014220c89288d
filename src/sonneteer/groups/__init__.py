"""Groups of people: what texts call them, and the same text with one group in another's place."""

from sonneteer.groups.swap import AXES, Swap, groups_named, swap_example, swapped, swaps_of

__all__ = ["AXES", "Swap", "groups_named", "swap_example", "swapped", "swaps_of"]
