"""The wire breaks as it is told to, and only then."""

import socket
import threading
import time
import unittest

from kafka_proxy import Proxy

PATIENCE_SECONDS = 10


class Echo:
    """A server that sends back what it gets."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=[connection], daemon=True).start()

    @staticmethod
    def _echo(connection: socket.socket) -> None:
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass
        finally:
            connection.close()


class BrokenWire(unittest.TestCase):
    def setUp(self):
        self.echo = Echo()
        self.addCleanup(self.echo.listener.close)
        self.proxy = Proxy(self.echo.port).start()
        self.addCleanup(self.proxy.stop)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=PATIENCE_SECONDS)
        self.addCleanup(connection.close)
        return connection

    def asked(self, connection: socket.socket, text: bytes) -> bytes:
        """What comes back for `text`."""
        connection.sendall(text)
        answer = b""
        while len(answer) < len(text):
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionResetError
            answer += piece
        return answer

    def assert_silent(self, connection: socket.socket):
        connection.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            connection.recv(1)
        connection.settimeout(PATIENCE_SECONDS)

    def test_bytes_pass_both_ways_and_unchanged(self):
        data = bytes(range(256)) * 8192
        connection = self.connect()
        echoed = bytearray()

        def receive() -> None:
            while len(echoed) < len(data):
                echoed.extend(connection.recv(65536))

        receiver = threading.Thread(target=receive)
        receiver.start()
        connection.sendall(data)
        receiver.join(PATIENCE_SECONDS)
        self.assertEqual(bytes(echoed), data)
        self.assertEqual((self.proxy.accepted, self.proxy.passed_bytes), (1, 2 * len(data)))

    def test_a_delay_counts_in_both_directions(self):
        connection = self.connect()
        self.asked(connection, b"before")
        self.proxy.delay_seconds = 0.1
        began = time.monotonic()
        self.assertEqual(self.asked(connection, b"slow"), b"slow")
        self.assertGreaterEqual(time.monotonic() - began, 0.2)

    def test_a_cut_resets_every_connection_and_new_ones_work(self):
        connections = [self.connect(), self.connect()]
        for connection in connections:
            self.asked(connection, b"before")
        self.assertEqual(self.proxy.cut(), 2)
        for connection in connections:
            with self.assertRaises(OSError):
                self.asked(connection, b"after")
        self.assertEqual(self.asked(self.connect(), b"new"), b"new")

    def test_what_is_held_passes_once_it_is_healed(self):
        connection = self.connect()
        self.asked(connection, b"before")
        self.proxy.hold()
        connection.sendall(b"held")
        self.assert_silent(connection)
        second = self.connect()
        second.sendall(b"new")
        self.assert_silent(second)
        self.proxy.heal()
        self.assertEqual(connection.recv(64), b"held")
        self.assertEqual(second.recv(64), b"new")

    def test_what_is_swallowed_is_gone_and_so_is_its_connection(self):
        connection = self.connect()
        self.asked(connection, b"before")
        self.proxy.swallow()
        connection.sendall(b"lost")
        self.assert_silent(connection)
        self.proxy.heal()
        with self.assertRaises(OSError):
            self.asked(connection, b"after")
        self.assertEqual(self.asked(self.connect(), b"new"), b"new")

    def test_away_refuses_until_it_is_healed_on_the_same_port(self):
        connection, port = self.connect(), self.proxy.port
        self.asked(connection, b"before")
        self.proxy.away()
        with self.assertRaises(OSError):
            self.asked(connection, b"after")
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        self.proxy.heal()
        self.assertEqual(self.proxy.port, port)
        self.assertEqual(self.asked(self.connect(), b"new"), b"new")

    def test_a_target_that_is_not_there_ends_the_connection(self):
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            self.proxy.target = nobody.getsockname()[1]
        with self.assertRaises(OSError):
            self.asked(self.connect(), b"anyone?")


if __name__ == "__main__":
    unittest.main()
