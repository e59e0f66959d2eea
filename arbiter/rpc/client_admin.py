"""What an operator's client does."""

from collections.abc import AsyncIterator, Iterable

from arbiter.rpc import client_read as read
from arbiter.rpc import client_types as types
from arbiter.rpc.client_calls import Repeat, Subject
from arbiter.rpc.client_pages import Pages
from arbiter.v1 import admin_pb2


class Admin(Subject):
    """AdminService. Every call raises NotPermittedError for accounts without the role operator, and is audited."""

    async def list_actors(self) -> list[types.ActorInfo]:
        """The supervision tree, for operators."""
        reply = await self._unary(
            "AdminService/ListActors", admin_pb2.ListActorsRequest(), admin_pb2.ListActorsResponse, repeat=Repeat.READ
        )
        return [read.actor(each) for each in reply.actors]

    async def create_user(self, name: str, *, user: str = "", tier: str = "", role: str = "") -> types.NewUser:
        """A new account with its API key. `user`: its id, made where empty; tier free and role trader where they are empty.

        RefusedError where the id is taken. Where the answer was lost: repeat it with an id of your own, which says whether it was done.
        """
        request = admin_pb2.CreateUserRequest(user_id=user, name=name, tier=tier, role=role)
        return read.new_user(await self._unary("AdminService/CreateUser", request, admin_pb2.CreateUserResponse))

    async def set_tier(self, user: str, tier: str) -> types.UserInfo:
        """Holds from the user's next call on. Raises NotFoundError."""
        request = admin_pb2.SetTierRequest(user_id=user, tier=tier)
        return read.user((await self._unary("AdminService/SetTier", request, admin_pb2.SetTierResponse)).user)

    def list_users(self, *, page_size: int = 0) -> AsyncIterator[types.UserInfo]:
        """Every account, by id; fetched a page at a time."""

        async def fetch(token: str) -> tuple[Iterable[types.UserInfo], str]:
            request = admin_pb2.ListUsersRequest(page_size=page_size, page_token=token)
            reply = await self._unary("AdminService/ListUsers", request, admin_pb2.ListUsersResponse, repeat=Repeat.READ)
            return [read.user(each) for each in reply.users], reply.next_page_token

        return Pages(fetch)

    async def suspend_user(self, user: str, *, suspended: bool = True) -> types.UserInfo:
        """End every sign-in of the user, who may then only read, cancel and reduce; or lift that. Raises NotFoundError."""
        request = admin_pb2.SuspendUserRequest(user_id=user, suspended=suspended)
        repeat = Repeat.SAFE if suspended else Repeat.NEVER
        return read.user((await self._unary("AdminService/SuspendUser", request, admin_pb2.SuspendUserResponse, repeat=repeat)).user)

    async def forget_authenticator(self, user: str) -> bool:
        """Forget a user's lost authenticator and recovery codes; whether there was one. Raises NotFoundError.

        An operator who has an authenticator does it `with_code`: else NotPermittedError, reason TOTP_NEEDED.
        """
        request = admin_pb2.ForgetAuthenticatorRequest(user_id=user)
        return bool((await self._unary("AdminService/ForgetAuthenticator", request, admin_pb2.ForgetAuthenticatorResponse)).had_one)

    async def halt_all(self, reason: str = "") -> types.HaltReport:
        """Stop all trading of everybody, until `resume_all`. Safe to repeat."""
        request = admin_pb2.HaltAllRequest(reason=reason)
        return read.halt_report(await self._unary("AdminService/HaltAll", request, admin_pb2.HaltAllResponse, repeat=Repeat.SAFE))

    async def resume_all(self) -> int:
        """Lift `halt_all`; how many users still have stopped their own trading, which only they can lift."""
        request = admin_pb2.ResumeAllRequest(confirm=True)
        return int((await self._unary("AdminService/ResumeAll", request, admin_pb2.ResumeAllResponse)).still_halted)
