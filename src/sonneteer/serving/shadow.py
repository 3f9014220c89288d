"""The candidate in the shadow: it answers what the champion has answered, when that is done, and nobody hears it."""

from __future__ import annotations

import asyncio

from sonneteer.records import Exchange
from sonneteer.serving.asked import Asked
from sonneteer.serving.lineup import ServedModel
from sonneteer.serving.refusals import Refusal
from sonneteer.serving.traffic import Visit, Witness
from sonneteer.serving.turns import Turns
from sonneteer.serving.watch import Watch


class Shadow:
    """Watches one request as `Watch` does, and then asks the candidate the same."""

    def __init__(self, watch: Watch, turns: Turns, candidate: ServedModel, asked: Asked) -> None:
        self._watch = watch
        self._turns = turns
        self._candidate = candidate
        self._asked = asked
        self._work: asyncio.Task[None] | None = None
        self.waiting, self.begun, self.over = watch.waiting, watch.begun, watch.over

    async def told(self, exchange: Exchange, visit: Visit) -> None:
        """The champion has answered."""
        await self._watch.told(exchange, visit)
        if not exchange.problem and self._work is None:
            self._work = asyncio.get_running_loop().create_task(self._answer(exchange, visit))
            _RUNNING.add(self._work)  # the loop itself holds tasks only weakly
            self._work.add_done_callback(_RUNNING.discard)

    async def _answer(self, exchange: Exchange, visit: Visit) -> None:
        said, problem = "", ""
        try:
            witness = Witness(visit, self._candidate, self._asked.prompt, Unheard())
            with await self._turns.begin(self._candidate, self._asked, witness) as turn:
                said = (await turn.answer()).text
        except Refusal:  # no room: people come first
            return
        except Exception as failure:
            problem = type(failure).__name__
        shadowed = {"shadow_model_id": self._candidate.model_id, "shadow_answer": said, "shadow_problem": problem}
        await self._watch.compared(exchange.model_copy(update=shadowed), visit)


_RUNNING: set[asyncio.Task[None]] = set()


class Unheard:
    """Is told everything and does nothing."""

    def waiting(self, name: str) -> None:
        """Nothing."""

    def begun(self, name: str) -> None:
        """Nothing."""

    def over(self, name: str, has_begun: bool) -> None:
        """Nothing."""

    async def told(self, exchange: Exchange, visit: Visit) -> None:
        """Nothing."""
