"""An OpenID Connect provider on a loopback port, as a process: `python tests/provider.py` prints its port.

oidc-provider-mock, which is made of Authlib's server parts, with the one check added that it lacks: that the verifier
of PKCE fits the challenge. Refuses a client that sends no challenge by S256.
"""

from __future__ import annotations

import sys
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import werkzeug.serving
    from authlib.oauth2.rfc6749.errors import InvalidRequestError
    from authlib.oauth2.rfc7636 import CodeChallenge
    from oidc_provider_mock import _app

_challenges: dict[str, str] = {}


class Grant(_app.AuthorizationCodeGrant):  # type: ignore[misc]
    """The code grant, which remembers the challenge of each code."""

    def save_authorization_code(self, code: str, request: object) -> None:
        """Keep code and challenge."""
        asked = request.payload.data  # type: ignore[attr-defined]
        if asked.get("code_challenge_method") != "S256":
            raise InvalidRequestError("no challenge by S256")
        _challenges[code] = asked["code_challenge"]
        super().save_authorization_code(code, request)


class Challenge(CodeChallenge):  # type: ignore[misc]
    """PKCE by what was remembered; every client has to prove it."""

    def get_authorization_code_challenge(self, authorization_code: object) -> str:
        """The challenge that came with the code."""
        return _challenges[authorization_code.code]  # type: ignore[attr-defined]

    def get_authorization_code_challenge_method(self, authorization_code: object) -> str:
        """The one that is accepted."""
        return "S256"


class Server(_app.flask_oauth2.AuthorizationServer):  # type: ignore[misc]
    """The authorization server, which adds the check to the code grant."""

    def register_grant(self, grant: type, extensions: list[object] | None = None) -> None:
        """Register a grant."""
        more = [Challenge()] if issubclass(grant, Grant) else []
        super().register_grant(grant, [*(extensions or []), *more])


def main() -> None:
    """Serve until killed."""
    _app.AuthorizationCodeGrant = Grant
    _app.flask_oauth2.AuthorizationServer = Server
    server = werkzeug.serving.make_server("127.0.0.1", 0, _app.app(require_nonce=True), threaded=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
