"""The terminal in a browser: a real server, real requests, real sessions, and what is left when it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("textual_serve")

from tui.serve import peers  # noqa: E402
from tui.serve.page import STYLE  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

TOKEN = "a-token-of-some-length"
SERVE = "import sys; from tui.app import main; sys.exit(main())"


@dataclass
class Served:
    """A running server as a browser knows it."""

    process: subprocess.Popen[str]
    url: str
    client: aiohttp.ClientSession

    async def get(self, path: str = "/", **options: object) -> tuple[int, str]:
        async with self.client.get(self.url + path, **options) as answer:
            return answer.status, await answer.text()

    def connect(self, origin: str | None = None, **options: object):
        headers = {"Origin": self.url if origin is None else origin, **options.pop("headers", {})}
        return self.client.ws_connect(f"{self.url}/ws?width=80&height=24", headers=headers, **options)

    def sessions(self) -> list[int]:
        """The processes that the server has started."""
        return [pid for pid, parent in parents().items() if parent == self.process.pid]


def parents() -> dict[int, int]:
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


@asynccontextmanager
async def served(home: Path, *arguments: str) -> AsyncIterator[Served]:
    environ = {**os.environ, "CHATGLM_SLIM_HOME": str(home), "LANG": "C.UTF-8"}
    for name in ("TEXTUAL_DRIVER", "LC_ALL", "LC_MESSAGES"):
        environ.pop(name, None)
    command = [sys.executable, "-c", SERVE, "--serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ)
    try:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        url = re.match(r"(?:Open|请打开) (http://[^/]+)/", line)
        assert url, line
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
            yield Served(process, url[1], client)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def painted(websocket: aiohttp.ClientWebSocketResponse, text: bytes) -> bytes:
    """What came until a text was in it."""
    came = b""
    async with asyncio.timeout(30):
        while text not in came:
            message = await websocket.receive()
            assert message.type == aiohttp.WSMsgType.BINARY, message
            came += message.data
    return came


async def gone(pids: list[int]) -> None:
    async with asyncio.timeout(15):
        while set(pids) & set(parents()):
            await asyncio.sleep(0.05)


@pytest.mark.long
async def test_the_same_terminal_is_shown_and_typed_into(tmp_path):
    async with served(tmp_path, "--language", "zh") as server, server.connect() as websocket:
        came = await painted(websocket, "帮助".encode())
        assert b"\x1b[?1049h" in came
        await websocket.send_json(["ping", 1])
        await websocket.send_json(["resize", {"width": 100, "height": 30}])
        await websocket.send_json(["stdin", "\x11"])  # Ctrl+Q
        async with asyncio.timeout(20):
            while (await websocket.receive()).type != aiohttp.WSMsgType.CLOSE:
                pass
        await gone(server.sessions())


async def test_nothing_of_the_page_comes_from_elsewhere(tmp_path):
    class Addresses(HTMLParser):
        found: list[str] = []

        def handle_starttag(self, _tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.found += [value or "" for name, value in attributes if name in ("href", "src", "action")]

    async with served(tmp_path) as server:
        async with server.client.get(server.url) as answer:
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            Addresses().feed(await answer.text())
        own = [address for address in Addresses.found if not address.startswith("data:")]
        own += re.findall(r'url\("([^"]+)"\)', STYLE)
        assert "/static/js/textual.js" in own
        for address in own:
            assert address.startswith("/"), address
            assert not address.startswith("//")
            async with server.client.get(server.url + address) as answer:
                assert answer.status == 200, address
                assert "Content-Security-Policy" in answer.headers


async def test_another_name_for_this_machine_and_a_page_from_elsewhere_are_refused(tmp_path):
    async with served(tmp_path) as server:
        for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "169.254.1.1"):
            status, text = await server.get(headers={"Host": host})
            assert (status, text) == (403, "This server is only reached by the address that it has printed.\n")
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await server.connect(f"http://{host}", headers={"Host": host})
        for origin in ("", "null", "http://evil.example", "http://127.0.0.1", "file://"):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await server.connect(origin)
        assert server.sessions() == []


async def test_the_token_is_asked_once_and_kept_where_no_script_reads_it(tmp_path):
    async with served(tmp_path, "--token", TOKEN) as server:
        for path in ("/", "/?token=wrong-token-altogether", f"/page.js?token={TOKEN}", "/static/js/textual.js"):
            status, text = await server.get(path)
            assert (status, text) == (403, "Open the address with the token, which the server has printed.\n")
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await server.connect()
        async with server.client.get(f"{server.url}/?token={TOKEN}") as answer:
            assert answer.status == 200
            (cookie,) = answer.headers.getall("Set-Cookie")
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        assert (await server.get())[0] == 200
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await server.connect("http://evil.example")
        async with server.connect() as websocket:
            await painted(websocket, b"Help")
            (pid,) = server.sessions()
            assert TOKEN.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
            assert TOKEN.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


async def test_any_other_address_makes_up_a_token(tmp_path):
    async with served(tmp_path, "--host", "0.0.0.0") as server:
        port = server.url.rpartition(":")[2]
        async with server.client.get(f"http://127.0.0.1:{port}/") as answer:
            assert answer.status == 403


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGINT, signal.SIGTERM))]
)
async def test_the_sessions_end_with_the_server(tmp_path, number):
    async with served(tmp_path) as server, server.connect() as websocket:
        await painted(websocket, b"Help")
        pids = server.sessions()
        assert len(pids) == 1
        server.process.send_signal(number)
        assert await asyncio.to_thread(server.process.wait, 20) == (-9 if number == signal.SIGKILL else 0)
        await gone(pids)


@pytest.mark.slow
async def test_a_session_ends_with_its_page_even_when_it_is_stuck(tmp_path):
    async with served(tmp_path) as server:
        websocket = await server.connect()
        await painted(websocket, b"Help")
        pids = server.sessions()
        os.kill(pids[0], signal.SIGSTOP)
        await websocket.close()
        await gone(pids)
        assert (await server.get())[0] == 200


@pytest.mark.slow
async def test_there_are_only_so_many_sessions(tmp_path):
    async with served(tmp_path) as server:
        pages = [await server.connect() for _ in range(8)]
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await server.connect()
        await pages[0].close()
        async with asyncio.timeout(30):
            while len(server.sessions()) == 8:
                await asyncio.sleep(0.05)
        await server.connect()


@pytest.mark.slow
async def test_what_is_no_message_of_the_page_ends_only_that_session(tmp_path):
    async with served(tmp_path) as server:
        for message in ("{}", "[]", '["resize", {}]', '["stdin", 3]', "no json"):
            async with server.connect() as websocket:
                await websocket.send_str(message)
                async with asyncio.timeout(20):
                    while (await websocket.receive()).type != aiohttp.WSMsgType.CLOSE:
                        pass
        assert (await server.get())[0] == 200


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SERVE, "--serve", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--token", "short"], "the token is too short to be safe"),
        (["--port", "70000"], "port 70000 is not between 0 and 65535"),
        (
            ["--host", "192.0.2.1", "--token", TOKEN],
            "192.0.2.1:8000 cannot be served at (Cannot assign requested address); choose another --host",
        ),
        (["--host", "nix.invalid", "--token", TOKEN], "nix.invalid:8000 cannot be served at ("),
    ],
)
def test_what_cannot_be_served_is_told_in_one_sentence(arguments, told):
    done = run(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"chatglm-tui: {told}")
    assert done.stderr.count("\n") == 1


def test_without_the_extra_it_says_what_to_install(tmp_path):
    (tmp_path / "textual_serve.py").write_text("raise ModuleNotFoundError('no', name='textual_serve')")
    done = run(PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == (
        "chatglm-tui: --serve needs textual-serve (textual_serve is missing): pip install 'chatglm-slim-llm[serve]'\n"
    )


def test_the_kernels_tables_say_whose_a_connection_is(tmp_path):
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    four = tmp_path / "tcp"
    four.write_text(
        f"{head}   0: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 1\n"
        "   1: 0100007F:D431 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1234        0 2\n"
    )
    six = tmp_path / "tcp6"
    one = "00000000000000000000000001000000"
    six.write_text(f"{head}   0: {one}:D432 {one}:1F90 01 00000000:00000000 00:00000000 00000000  77        0 2\n")
    tables = (four, six)
    assert peers.user_of(("127.0.0.1", 54321), ("127.0.0.1", 8080), tables) == 1234
    assert peers.user_of(("::1", 54322), ("::1", 8080), tables) == 77
    assert peers.user_of(("127.0.0.1", 1), ("127.0.0.1", 8080), tables) is None
    assert peers.user_of(("127.0.0.1", 1), ("127.0.0.1", 8080), (tmp_path / "none",)) is None


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *((host, True) for host in ("127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]")),
        *((host, False) for host in ("0.0.0.0", "::", "192.168.0.5", "localhost.evil.example")),
    ],
)
def test_only_loopback_addresses_are_taken_for_such(host, loopback):
    assert peers.is_loopback(host) is loopback
