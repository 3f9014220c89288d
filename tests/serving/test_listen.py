from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sonneteer.errors import MachineError, RecipeError
from sonneteer.recipe.sections import ServingSettings
from sonneteer.serving import Keys, ServedModel, create_key, serve
from sonneteer.serving.listen import open_port, welcome
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat

PROGRAM = """
from datetime import UTC, datetime
from sonneteer.recipe.sections import ServingSettings
from sonneteer.serving import Keys, ServedModel, serve
from sonneteer.testing import ScriptedChat
served = ServedModel("poet", ScriptedChat(["A rose is a rose."]), datetime.now(UTC), None)
serve([served], ServingSettings(port=0), Keys(), lambda text: print(text, flush=True))
print("back", flush=True)
"""


@pytest.fixture
def model() -> ServedModel:
    return ServedModel("poet", ScriptedChat(["Hi"]), datetime.now(UTC), None)


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        yield running
        running.kill()


def test_what_it_says_first_can_be_pasted_and_ctrl_c_ends_it_quietly(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    said = ""
    while "export" not in said:
        said += process.stdout.readline()
    code = said[said.index("# Anthropic's") : said.index("# Or without")]
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "OPENAI_"))}
    pasted = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=settings)
    assert (pasted.stdout.splitlines(), pasted.stderr) == (["A rose is a rose."] * 2, "")
    process.send_signal(signal.SIGINT)
    rest, problems = process.communicate(timeout=20)
    assert (rest.split(), problems, process.returncode) == (["Stopped.", "back"], "", 0)


def test_a_port_in_use_is_named_with_a_free_one(model: ServedModel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(MachineError, match=f"Port {port} of 127.0.0.1 is in use") as problem:
            serve([model], ServingSettings(port=port), Keys(), print)
    free = re.search(r"serving\.port: (\d+)", str(problem.value))
    assert free
    socket.create_server(("127.0.0.1", int(free[1]))).close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_of_another_machine_is_refused(host: str, model: ServedModel, tmp_path: Path) -> None:
    create_key(Store(tmp_path).keys, "me")
    with pytest.raises(RecipeError, match=f"serving.host is '{host}'"):
        serve([model], ServingSettings(host=host), Keys.of(Store(tmp_path).keys), print)


def test_for_all_addresses_it_shows_one_that_works_here(model: ServedModel) -> None:
    text = welcome([model], ServingSettings(host="0.0.0.0"), 8080, has_keys=True)
    assert 'base_url="http://127.0.0.1:8080", api_key="sk-sonneteer-..."' in text
    assert "put this machine's name in place of 127.0.0.1" in text
    version = welcome([model._replace(model_id="poet-3")], ServingSettings(), 8080, has_keys=False)
    assert version.startswith("poet (poet-3) at http://127.0.0.1:8080")
    assert 'base_url="http://[::1]:8080/v1"' in welcome([model], ServingSettings(host="::"), 8080, has_keys=True)


def test_answers_are_sent_at_once_and_wait_for_no_acknowledgement() -> None:
    async def connect() -> int:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def come(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            accepted.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(come, sock=open_port("127.0.0.1", 0)) as listening:
            _, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
            told = await accepted
            writer.close()
            return told

    assert asyncio.run(connect())
