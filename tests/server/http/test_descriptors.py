import socket

import pytest

from forebay.server.http.descriptors import Descriptors

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="only where the kernel tells what was taken")


def test_a_connection_is_found_by_its_client_also_when_its_number_is_used_again() -> None:
    descriptors = Descriptors()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(3):
            with socket.create_connection(listener.getsockname()) as client:
                host, port = client.getsockname()
                accepted, _peer = listener.accept()
                with accepted:
                    found = descriptors.find(f"{host}:{port}")
                    assert found is not None
                    with found:
                        assert found.fileno() != accepted.fileno()
                        found.sendall(b"x")
                        assert client.recv(1) == b"x"
                        # The copy is its own: the connection outlives it.
                    accepted.sendall(b"y")
                    assert client.recv(1) == b"y"
            assert descriptors.find(f"{host}:{port}") is None


@pytest.mark.parametrize("client", ["", "nobody", "127.0.0.1:", "127.0.0.1:x", "[::1]:9"])
def test_what_is_no_client_is_not_found(client: str) -> None:
    assert Descriptors().find(client) is None


def test_a_connection_of_the_same_client_port_with_another_address_is_not_taken_for_it() -> None:
    """The front's connection with a local client may have the port that its tunnel has."""
    with socket.create_server(("127.0.0.1", 0)) as front, socket.create_server(("127.0.0.1", 0)) as behind:
        descriptors = Descriptors(behind.getsockname())
        with bound() as client:
            host, port = client.getsockname()
            with bound(port) as tunnel:
                client.connect(front.getsockname())
                tunnel.connect(behind.getsockname())
                # The higher number is looked at last.
                theirs, _peer = behind.accept()
                stranger, _peer = front.accept()
                with theirs, stranger:
                    found = descriptors.find(f"{host}:{port}")
                    assert found is not None
                    with found:
                        found.sendall(b"x")
                        assert tunnel.recv(1) == b"x"


def bound(port: int = 0) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made
