"""The watch room: what changed since the training, whether it is more than chance, and what to look at first."""

from sonneteer.monitoring.harm import Warden
from sonneteer.monitoring.harvest import Harvest, harvest
from sonneteer.monitoring.health import Profile, Traffic, health_of, profile_of, question_of
from sonneteer.monitoring.page import call, write_page
from sonneteer.monitoring.patterns import Pattern, decided, patterns
from sonneteer.monitoring.review import Case, queue
from sonneteer.monitoring.usual import Usual, usual_of, widest
from sonneteer.monitoring.view import Seen

__all__ = [
    "Case",
    "Harvest",
    "Pattern",
    "Profile",
    "Seen",
    "Traffic",
    "Usual",
    "Warden",
    "call",
    "decided",
    "harvest",
    "health_of",
    "patterns",
    "profile_of",
    "question_of",
    "queue",
    "usual_of",
    "widest",
    "write_page",
]
