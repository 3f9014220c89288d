"""The lean pass over many answers at once."""

from __future__ import annotations

from pathlib import Path

import torch

from sonneteer.models.engine.decoder import Decoder, Step
from sonneteer.models.engine.seats import Seats
from sonneteer.models.engine.stack import Reading
from sonneteer.models.load import open_folder

from ..networks import saved

LENGTHS = (3, 40, 17, 60, 9)


@torch.inference_mode()
def test_in_bfloat16_too_the_answers_of_a_full_room_are_computed_like_each_alone(tmp_path: Path) -> None:
    network = open_folder("tiny", saved("llama", tmp_path)).network.to(torch.bfloat16)
    decoder, seats = Decoder(network), Seats()
    decoder.pack(keeps_network=True)
    texts = [torch.arange(length) % 50 + number for number, length in enumerate(LENGTHS)]
    alone = []
    for number, ids in enumerate(texts):
        kv = decoder.empty_kv(len(ids))
        whole = Step(ids, torch.arange(len(ids)), 0, (Reading(kv, 0, len(ids)),), torch.tensor([len(ids) - 1]))
        alone.append(decoder.forward(whole, None))
        seats.seat(number, kv, len(ids) - 1)
    last = torch.tensor([length - 1 for length in LENGTHS])
    ids = torch.stack([ids[-1] for ids in texts])
    together = decoder.forward(Step(ids, last, len(ids), (), torch.arange(len(ids))), seats.kv_LSKTE)
    assert (together - torch.cat(alone)).abs().max() < 0.1
    assert network(texts[1][None]).logits[0, -1].float().sub(together[1]).abs().max() < 0.1


@torch.inference_mode()
def test_a_long_prompt_beside_running_answers_is_read_as_the_network_reads_it(tmp_path: Path) -> None:
    network = open_folder("tiny", saved("llama", tmp_path)).network
    decoder, seats = Decoder(network), Seats()
    decoder.pack(keeps_network=True)
    short, long = torch.arange(9) % 50, torch.arange(101) % 50
    kv, kv_long = decoder.empty_kv(9), decoder.empty_kv(101)
    decoder.forward(Step(short[:8], torch.arange(8), 0, (Reading(kv, 0, 8),), torch.tensor([7])), None)
    seats.seat(0, kv, 8)
    ids, places = torch.cat((short[8:], long)), torch.cat((torch.tensor([8]), torch.arange(101)))
    both = Step(ids, places, 1, (Reading(kv_long, 0, 101),), torch.tensor([0, 101]))
    told = decoder.forward(both, seats.kv_LSKTE)
    true = torch.stack([network(each[None]).logits[0, -1] for each in (short, long)])
    torch.testing.assert_close(told, true, atol=1e-4, rtol=1e-4)
