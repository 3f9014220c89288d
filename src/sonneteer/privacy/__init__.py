"""Personal data and secrets: found by type, and masked, dropped or refused before anything is learned."""

from sonneteer.privacy.find import Finder, Found
from sonneteer.privacy.protect import Guard, Protected, digest_of

__all__ = ["Finder", "Found", "Guard", "Protected", "digest_of"]
