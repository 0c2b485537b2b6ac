"""What calls may raise when a client's token is refused."""


class TokenRefused(Exception):
    """The server has refused the client's token, as the message says, and taken nothing since. The event of the call
    is tried all the same and counted, since the token may be allowed again: it is rejected, or stored."""
