"""Signing in at an OpenID Connect provider: the authorization code flow with PKCE, by Authlib.

Owns the two steps, which claim names a person and which holds the roles. Refuses to keep anything of the provider's but
a name, a subject and the roles: its tokens are forgotten when the session begins. What has to outlast the way to the
provider and back (state, nonce, verifier) is kept by the browser, signed, for ten minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.concurrency import run_in_threadpool

from api.gate.keys import key_of
from api.gate.secret import drawn_session
from api.gate.sessions import is_secure, keep, lasting
from api.house import House, house
from api.problems import (
    NAME_TAKEN,
    NOT_ALLOWED,
    NOT_FOUND,
    PROVIDER_UNAVAILABLE,
    SIGN_IN_FAILED,
    STORE_UNAVAILABLE,
    ProblemError,
    documented,
)
from detector.access import BadName, Role, user_name
from streams.settings import Settings, roles_of
from streams.store.access import Access, Elsewhere
from streams.store.audit import Audit

router = APIRouter(tags=["access"])
WAY: Final = "strayframe_signing_in"
WAY_PATH: Final = "/v1/session/oidc"
WAY_SECONDS: Final = 600
"""Time for the way to the provider and back: typing a password and a second factor."""

_log = structlog.get_logger()
Here = Annotated[House, Depends(house)]


class Unusable(Exception):
    """The provider lets the person in, and what it says of the person is not enough here. For the audit and the log."""


class Provider:
    """The provider that the settings name."""

    def __init__(self, settings: Settings) -> None:
        from authlib.integrations.starlette_client import OAuth  # where nobody signs in so, nobody pays for it

        self._settings = settings
        issuer = settings.oidc_issuer.rstrip("/")
        self.client: Any = OAuth().register(
            "provider",
            client_id=settings.oidc_client,
            client_secret=settings.oidc_secret.get_secret_value() or None,
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_kwargs={"scope": settings.oidc_scope, "code_challenge_method": "S256", "timeout": 10},
        )

    @property
    def back(self) -> str:
        """Where the provider sends people back to; it has to know this address."""
        return f"{self._settings.public_url.rstrip('/')}{WAY_PATH}/callback"

    async def away(self, request: Request) -> Response:
        """The way there. Raises what the provider's absence raises."""
        metadata = await self.client.load_server_metadata()
        if metadata.get("issuer", "").rstrip("/") != self._settings.oidc_issuer.rstrip("/"):
            raise Unusable(f"the provider calls itself {metadata.get('issuer')!r}, not what oidc_issuer says")
        answer: Response = await self.client.authorize_redirect(request, self.back)
        return answer

    async def claims(self, request: Request) -> dict[str, Any]:
        """What the provider says of who comes back: of the id token, and of userinfo where the token lacks a claim."""
        token = await self.client.authorize_access_token(request)
        claims = dict(token["userinfo"])
        wanted = (self._settings.oidc_name, self._settings.oidc_roles)
        if any(claim_of(claims, name) is None for name in wanted):
            metadata = await self.client.load_server_metadata()
            if "userinfo_endpoint" in metadata:
                more = dict(await self.client.userinfo(token=token))
                if more.get("sub") == claims["sub"]:  # OpenID Connect Core, 5.3.4
                    claims = more | claims
        return claims


async def provider(request: Request, here: Here) -> Provider:
    """The dependency that gives the provider. Raises ProblemError where none is set."""
    if not here.settings.oidc_issuer or here.settings.access != "sign-in":
        raise ProblemError(NOT_FOUND, "No provider is set: sign in by name and password at /v1/session.")
    state = request.app.state
    if not hasattr(state, "provider"):
        state.provider = Provider(here.settings)
    found: Provider = state.provider
    return found


@router.get(
    WAY_PATH,
    summary="Go to the provider to sign in",
    status_code=302,
    response_class=RedirectResponse,
    responses=documented(NOT_FOUND, PROVIDER_UNAVAILABLE, STORE_UNAVAILABLE),
)
async def leave(request: Request, here: Here, at: Annotated[Provider, Depends(provider)]) -> Response:
    """For browsers: leads to the provider, which leads back to `/v1/session/oidc/callback`."""
    request.scope["session"] = {}
    try:
        answer = await at.away(request)
    except Exception as error:  # noqa: BLE001 - whatever an absent or a broken provider raises
        _log.warning("oidc.unavailable", error=f"{type(error).__name__}: {error}")
        raise ProblemError(PROVIDER_UNAVAILABLE) from None
    kept = (await _signer(here)).dumps(request.scope["session"])
    secure = is_secure(request, here.settings)
    answer.set_cookie(WAY, str(kept), WAY_SECONDS, path=WAY_PATH, secure=secure, httponly=True, samesite="lax")
    return answer


@router.get(
    f"{WAY_PATH}/callback",
    summary="Come back from the provider",
    status_code=303,
    response_class=RedirectResponse,
    responses=documented(SIGN_IN_FAILED, NOT_ALLOWED, NOT_FOUND, NAME_TAKEN, STORE_UNAVAILABLE),
)
async def come_back(request: Request, here: Here, at: Annotated[Provider, Depends(provider)]) -> Response:
    """For browsers: begins the session of whoever the provider says it is, with the roles that it says."""
    store = here.store()
    try:
        request.scope["session"] = (await _signer(here)).loads(request.cookies.get(WAY, ""), max_age=WAY_SECONDS)
        claims = await at.claims(request)
    except Exception as error:  # noqa: BLE001 - forged, late, denied, a token that does not verify: all are no sign-in
        said = "no such sign-in was begun here" if isinstance(error, BadData) else f"{type(error).__name__}: {error}"
        _log.warning("oidc.refused", error=said)
        raise ProblemError(SIGN_IN_FAILED, "Begin again at /v1/session/oidc.") from None
    try:
        name, roles = person_of(claims, here.settings)
    except Unusable as error:
        await run_in_threadpool(
            Audit(store.database).note, "sign-in.refused", str(claims["sub"]), by="oidc", why=str(error)
        )
        raise ProblemError(NOT_ALLOWED, f"{error}.") from None
    secret, now = drawn_session(), here.now()
    subject = f"{claims['iss']} {claims['sub']}"
    try:
        await run_in_threadpool(
            Access(store.database).sign_in_provided,
            name,
            subject,
            roles,
            key_of(secret),
            now,
            now + lasting(here.settings),
        )
    except Elsewhere:
        await run_in_threadpool(Audit(store.database).note, "sign-in.refused", name, by="oidc", why="name taken")
        raise ProblemError(NAME_TAKEN) from None
    answer = RedirectResponse("/", 303)
    keep(answer, secret, request, here.settings)
    answer.delete_cookie(WAY, path=WAY_PATH)
    return answer


def person_of(claims: Mapping[str, Any], settings: Settings) -> tuple[str, frozenset[Role]]:
    """Name and roles by the claims. Raises Unusable when there is no name that holds, or no role."""
    given = claim_of(claims, settings.oidc_name)
    verified = claims.get("email_verified", True)  # some providers say it as text
    if settings.oidc_name == "email" and str(verified).lower() == "false":
        raise Unusable("the provider did not verify the email address")
    try:
        name = user_name(given if isinstance(given, str) else "")
    except BadName:
        raise Unusable(f"the claim {settings.oidc_name} holds no name") from None
    found = claim_of(claims, settings.oidc_roles)
    values = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    known = roles_of(settings.oidc_roles_map) or {role.value: frozenset({role}) for role in Role}
    roles = frozenset[Role]().union(*(known.get(str(value), frozenset()) for value in values))
    if not roles:
        raise Unusable(f"the claim {settings.oidc_roles} holds no role that is known here")
    return name, roles


def claim_of(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of that name; where there is none, the one that its dots lead to. None: there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


async def _signer(here: House) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(await run_in_threadpool(here.store().sign_in_key), salt=WAY)
