"""The reference: python-telegram-bot's own asyncio Application, polling by its Updater, with a `grpc.aio` client of the core.

    python -m bench.bot_reference_process SERVER CREDENTIAL API_URL TOKEN

For `/status` it makes the call that ours makes, with a token a user kept as ours keeps it, and sends the text
that ours sends, by the same view. One channel, its methods made once; updates handled at once, as its documentation
advises; `allowed_updates` given. Ends on SIGTERM.
"""

import logging
import os
import sys
import time
from typing import Any

os.environ.setdefault("PTB_TIMEDELTA", "true")

import grpc.aio
from telegram import LinkPreviewOptions, Update
from telegram.constants import ParseMode
from telegram.ext import Application, CommandHandler, ContextTypes
from telegram.request import HTTPXRequest

from arbiter.bot import views
from arbiter.rpc import client_read
from arbiter.v1 import trading_pb2, user_pb2
from bench.bot_people import CONCURRENCY

CALL_SECONDS = 6.0
RENEW_MS = 30_000


class Core:
    """The calls."""

    def __init__(self, server: str, credential: str) -> None:
        channel = grpc.aio.insecure_channel(server)
        self._credential = credential
        self._tokens: dict[int, tuple[str, int]] = {}

        def method(path: str, reply: Any) -> Any:
            # a message's own method serialises it, as in generated code
            request = {
                "UserService/Authenticate": user_pb2.AuthRequest,
                "TradingService/GetOverview": trading_pb2.OverviewRequest,
            }[path]
            return channel.unary_unary(
                f"/arbiter.v1.{path}", request_serializer=request.SerializeToString, response_deserializer=reply.FromString
            )

        self._authenticate = method("UserService/Authenticate", user_pb2.AuthResponse)
        self._overview = method("TradingService/GetOverview", trading_pb2.OverviewResponse)

    async def _token(self, telegram_id: int) -> str:
        token, expires_ms = self._tokens.get(telegram_id, ("", 0))
        if time.time() * 1000 >= expires_ms - RENEW_MS:
            login = user_pb2.AuthRequest(bot=user_pb2.BotLogin(credential=self._credential, telegram_id=telegram_id))
            reply = await self._authenticate(login, timeout=CALL_SECONDS)
            token = reply.access_token
            self._tokens[telegram_id] = (token, reply.expires_unix_ms)
        return token

    async def status(self, telegram_id: int) -> str:
        """The text of `/status`."""
        metadata = (("authorization", f"Bearer {await self._token(telegram_id)}"),)
        overview = await self._overview(trading_pb2.OverviewRequest(), timeout=CALL_SECONDS, metadata=metadata)
        return views.status(client_read.overview(overview)).text


def main(server: str, credential: str, api_url: str, token: str) -> None:
    logging.basicConfig(level=logging.WARNING)
    own = {"trust_env": False}

    async def connect(application: Any) -> None:
        application.bot_data["core"] = Core(server, credential)

    async def status(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.effective_user is not None
        text = await context.bot_data["core"].status(update.effective_user.id)
        await context.bot.send_message(
            update.effective_user.id, text, parse_mode=ParseMode.HTML, link_preview_options=LinkPreviewOptions(is_disabled=True)
        )

    application = (
        Application.builder()
        .token(token)
        .base_url(f"{api_url}/bot")
        .request(HTTPXRequest(connection_pool_size=256, httpx_kwargs=own))
        .get_updates_request(HTTPXRequest(connection_pool_size=1, httpx_kwargs=own))
        .concurrent_updates(CONCURRENCY)
        .job_queue(None)
        .post_init(connect)
        .build()
    )
    application.add_handler(CommandHandler("status", status))
    application.run_polling(allowed_updates=["message", "callback_query"])


if __name__ == "__main__":
    main(*sys.argv[1:5])
