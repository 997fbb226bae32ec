"""The server of the terminal in the browser, in this process: who is let in, and how a session ends."""

from __future__ import annotations

import asyncio
import sys

import pytest

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("textual_serve")

from aiohttp.test_utils import TestClient, TestServer  # noqa: E402

from tui import serve  # noqa: E402
from tui.serve.server import Server, _reachable  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


async def test_the_token_opens_the_door_and_the_cookie_keeps_it_open():
    server = TestServer(await Server((), "127.0.0.1", 0, "a-token-of-some-length")._make_app())
    jar = aiohttp.CookieJar(unsafe=True)
    async with TestClient(server, cookie_jar=jar) as client:
        for path, status in [("/", 403), ("/?token=wrong", 403), ("/?token=a-token-of-some-length", 200), ("/", 200)]:
            assert (await client.get(path)).status == status, path
        assert (await client.get("/nothing")).status == 404
        assert (await client.get("/page.js")).content_type == "text/javascript"
        assert (await client.get("/", headers={"Host": "evil.example"})).status == 403


async def test_a_session_is_opened_for_our_page_alone_and_ends_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path))
    monkeypatch.setattr(serve.server, "_GRACE_S", 20)
    served = Server(("--language", "en"), "127.0.0.1", 0, None)
    async with TestClient(TestServer(await served._make_app())) as client:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await client.ws_connect("/ws", headers={"Origin": "http://evil.example"})
        own = f"http://127.0.0.1:{client.port}"
        websocket = await client.ws_connect("/ws?width=80&height=24", headers={"Origin": own})
        painted = (await websocket.receive(30)).data
        assert painted.startswith(b"\x1b")
        while b"Help" not in painted:
            painted += (await websocket.receive(30)).data
        (session,) = served._sessions
        process = session._process
        await websocket.close()
        async with asyncio.timeout(30):
            while process is None or process.returncode is None:
                await asyncio.sleep(0.02)
        assert process.returncode == 0


def test_what_is_printed_can_be_opened():
    assert _reachable("::1") == "[::1]"
    assert _reachable("127.0.0.1") == "127.0.0.1"
    assert _reachable("0.0.0.0") not in ("0.0.0.0", "")
    told = serve.greeting("http://box:8000", "0.0.0.0", "secret")
    assert told.startswith("Open http://box:8000/?token=secret\n")
    assert "not encrypted" in told
    assert "not encrypted" not in serve.greeting("http://127.0.0.1:8000", "127.0.0.1", None)


def test_a_token_is_made_up_where_it_is_needed(monkeypatch):
    assert serve._token("127.0.0.1", None) is None
    made = serve._token("192.168.0.5", None)
    assert made is not None
    assert len(made) >= 32
    assert serve._token("192.168.0.5", None) != made
    monkeypatch.setattr(serve, "knows_users", lambda: False)
    assert serve._token("127.0.0.1", None) is not None
