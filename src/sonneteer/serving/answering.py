"""From a request to its answer: which version answers, who is told, and how many tokens its key has used."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from sonneteer.chat import Sees, pictures_of
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Key, Prompt
from sonneteer.serving.apis import Api, Wanted
from sonneteer.serving.limits import Meters
from sonneteer.serving.lineup import Lineup, ServedModel
from sonneteer.serving.refusals import Refusal
from sonneteer.serving.shadow import Shadow
from sonneteer.serving.traffic import Witness, visit_of
from sonneteer.serving.turns import Turn, Turns
from sonneteer.serving.watch import Watch
from sonneteer.serving.wire import Body


class Caller(NamedTuple):
    """Who asks."""

    headers: Mapping[str, str]
    key: Key | None
    """None where the server needs no keys."""
    is_live: bool = True
    """Whether somebody waits; what nobody waits for lets everybody else go first."""


class Answering:
    """Begins answers."""

    def __init__(
        self, lineup: Lineup, turns: Turns, settings: ServingSettings, chance: random.Random, watch: Watch
    ) -> None:
        self.lineup = lineup
        self.turns = turns
        self.settings = settings
        self.watch = watch
        self.meters = Meters()
        self._chance = chance

    async def begin(self, api: Api, wanted: Wanted, caller: Caller) -> Turn:
        """A turn with whichever version answers this conversation. Raises Refusal for what cannot be answered."""
        served = await self.lineup.found(wanted.model)
        asked = api.asked(wanted, self.settings, self._chance.getrandbits(63))
        visit, live = visit_of(caller.headers, asked.prompt), self.watch.live
        if live and served.name == live.champion.name:
            served = live.choose(visit)
        shadow = live.shadow() if live and caller.is_live and served.name == live.champion.name else None
        observer = Shadow(self.watch, self.turns, shadow, asked) if shadow else self.watch
        witness = Witness(visit, served, asked.prompt, observer)
        refuse_unseen(served, asked.prompt)
        turn = await self.turns.begin(served, asked, witness, caller.is_live)
        if caller.key is not None:
            turn.spend = partial(self.meters.spend, caller.key)
        return turn

    async def whole(self, api: Api, wanted: Wanted, caller: Caller) -> Body:
        """A whole answer. Raises TimeoutError if it takes too long."""
        with await self.begin(api, wanted, caller) as turn:
            async with asyncio.timeout(turn.seconds):
                return api.whole(wanted, turn, await turn.answers())


def refuse_unseen(served: ServedModel, prompt: Prompt) -> None:
    """Raises Refusal for images that the model does not see."""
    pictures = pictures_of(prompt)
    if pictures and not (isinstance(served.chat, Sees) and served.chat.sees_images):
        place = pictures[0].place
        raise Refusal(400, f"{place}: images are not supported: {served.name} reads text and tool calls", field=place)
