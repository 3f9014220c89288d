"""The nouns: the papers that travel between the workshops. Frozen, and unknown fields are refused."""

from __future__ import annotations

from sonneteer.records.batch import Batch, LineProblem, StoredFile
from sonneteer.records.conversation import Example, Message, Prompt, Rendered, Renderer, Role, ToolCall
from sonneteer.records.dataset import KEPT, DatasetVersion, Fate, LedgerEntry, Source, Split, SplitName
from sonneteer.records.health import GroupGap, Health, HealthVerdict, Signal
from sonneteer.records.interval import Interval
from sonneteer.records.key import Key, KeyRole
from sonneteer.records.memorisation import Exposure, Extraction, Membership, Memorisation, PersonalData
from sonneteer.records.model import Certificate, Check, ModelVersion, Stage
from sonneteer.records.record import Record, fingerprint_of
from sonneteer.records.report import (
    Case,
    CaseOutcome,
    Choice,
    Classification,
    Comparison,
    CurvePoint,
    Detectable,
    Gap,
    Judging,
    Report,
    RuleOutcome,
    SideBySide,
    Usage,
    Verdict,
)
from sonneteer.records.run import Machine, PrivacySpent, Run, RunStatus
from sonneteer.records.traffic import Arm, Deployment, Exchange, Feedback, Opinion, Phase

__all__ = [
    "KEPT",
    "Arm",
    "Batch",
    "Case",
    "CaseOutcome",
    "Certificate",
    "Check",
    "Choice",
    "Classification",
    "Comparison",
    "CurvePoint",
    "DatasetVersion",
    "Deployment",
    "Detectable",
    "Example",
    "Exchange",
    "Exposure",
    "Extraction",
    "Fate",
    "Feedback",
    "Gap",
    "GroupGap",
    "Health",
    "HealthVerdict",
    "Interval",
    "Judging",
    "Key",
    "KeyRole",
    "LedgerEntry",
    "LineProblem",
    "Machine",
    "Membership",
    "Memorisation",
    "Message",
    "ModelVersion",
    "Opinion",
    "PersonalData",
    "Phase",
    "PrivacySpent",
    "Prompt",
    "Record",
    "Rendered",
    "Renderer",
    "Report",
    "Role",
    "RuleOutcome",
    "Run",
    "RunStatus",
    "SideBySide",
    "Signal",
    "Source",
    "Split",
    "SplitName",
    "Stage",
    "StoredFile",
    "ToolCall",
    "Usage",
    "Verdict",
    "fingerprint_of",
]
