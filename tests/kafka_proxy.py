"""A wire that can be broken: a TCP proxy on loopback that delays, cuts, holds or swallows what passes.

A broker advertises the proxy's port in place of its own, so that whatever a client is told about the cluster leads through
here. All of it happens on one thread of its own; every method can be called from anywhere and has happened when it returns.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

CHUNK_BYTES = 64 * 1024
QUEUED_CHUNKS = 64
"""Chunks under way in one direction of a connection; past that the sender must wait, as on a real wire."""


class Proxy:
    """Listens on `port` of loopback (0: a free one) from `start` on and passes bytes to and from `target`, a port there."""

    def __init__(self, target: int = 0, port: int = 0):
        self.target = target
        self.port = port
        self.delay_seconds = 0.0
        """How much later than it came each chunk goes on, in both directions."""
        self.accepted = 0
        """Connections so far."""
        self.passed_bytes = 0
        self._swallows = False
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()

    def start(self) -> "Proxy":
        self._thread.start()
        self._flows.set()
        self._do(self._listen())
        return self

    def stop(self) -> None:
        """Cuts everything and ends."""
        self.away()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def hold(self) -> None:
        """From now on nothing passes; connections stay, new ones are taken, and what is sent waits."""
        self._call(self._flows.clear)

    def swallow(self) -> None:
        """From now on what is sent disappears; connections stay as if nothing were wrong."""
        self._call(lambda: setattr(self, "_swallows", True))

    def cut(self) -> int:
        """Resets every connection; how many there were. New ones are taken."""
        return self._call(self._reset_all)

    def away(self) -> None:
        """Resets every connection and refuses new ones."""
        self._do(self._close())

    def heal(self) -> None:
        """All is well again: what was held goes on. Where bytes were swallowed a connection is beyond repair and is reset."""
        self.delay_seconds = 0.0
        self._do(self._heal())

    def __enter__(self) -> "Proxy":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _do(self, work) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _call(self, function: Callable):
        async def called():
            return function()

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=CHUNK_BYTES)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = [link.task for link in self._links]
        self._reset_all()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _heal(self) -> None:
        if self._swallows:
            self._swallows = False
            self._reset_all()
        self._flows.set()
        await self._listen()

    def _reset_all(self) -> int:
        links = list(self._links)
        for link in links:
            link.reset()
        return len(links)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = _Link(self, writer)
        self._links.add(link)
        try:
            await link.run(reader)
        finally:
            self._links.discard(link)
            link.reset()


class _Link:
    """One connection of a client, with the one to the target that belongs to it."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter):
        self.proxy = proxy
        self.writers = [client]
        self.task = asyncio.current_task()

    async def run(self, from_client: asyncio.StreamReader) -> None:
        """Passes bytes until one side has had enough, or the link is reset."""
        tasks = []
        with suppress(OSError, asyncio.CancelledError):
            # While nothing flows, not even a connection comes to be.
            await self.proxy._flows.wait()
            from_target, target = await asyncio.open_connection("127.0.0.1", self.proxy.target, limit=CHUNK_BYTES)
            self.writers.append(target)
            for reader, writer in [(from_client, target), (from_target, self.writers[0])]:
                queue: asyncio.Queue = asyncio.Queue(QUEUED_CHUNKS)
                tasks += [asyncio.create_task(self._take(reader, queue)), asyncio.create_task(self._give(queue, writer))]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, queue: asyncio.Queue) -> None:
        """Reads chunks and notes when each goes on; an empty one is the end. It itself ends only by being cancelled or reset."""
        while chunk := await reader.read(CHUNK_BYTES):
            await queue.put((self.proxy._loop.time() + self.proxy.delay_seconds, chunk))
        await queue.put((0.0, b""))
        await asyncio.Event().wait()

    async def _give(self, queue: asyncio.Queue, writer: asyncio.StreamWriter) -> None:
        """Passes chunks on until the end of them."""
        while True:
            due, chunk = await queue.get()
            await asyncio.sleep(max(0.0, due - self.proxy._loop.time()))
            await self.proxy._flows.wait()
            if self.proxy._swallows:
                continue
            if not chunk:
                return
            writer.write(chunk)
            self.proxy.passed_bytes += len(chunk)
            await writer.drain()

    def reset(self) -> None:
        """Ends both connections at once, as a broken wire does: with RST, whatever was under way is lost."""
        for writer in self.writers:
            if not writer.transport.is_closing():
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
        if self.task is not asyncio.current_task():
            self.task.cancel()
