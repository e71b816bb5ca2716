"""An address at which nobody answers: a connection is refused at once, as long as the tests run."""

import socket

_BOUND = socket.socket()
_BOUND.bind(("127.0.0.1", 0))  # so nobody else can have it; and it never listens
ADDRESS = f"http://127.0.0.1:{_BOUND.getsockname()[1]}"
