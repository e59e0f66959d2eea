"""The reference: python-telegram-bot's own asyncio Application, polling by its Updater, with a `grpc.aio` client of the core.

    python -m bench.bot_reference_process SERVER CREDENTIAL API_URL TOKEN

For `/status` it makes the calls that ours makes, at once as ours does, with a token a user kept as ours keeps it, and sends the text
that ours sends, by the same view. One channel, its methods made once; updates handled at once, as its documentation
advises; `allowed_updates` given. Ends on SIGTERM.
"""

import asyncio
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
from arbiter.rpc import client_types as types
from arbiter.v1 import strategy_pb2, trading_pb2, user_pb2
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
                "UserService/GetProfile": user_pb2.ProfileRequest,
                "TradingService/GetTradingState": trading_pb2.TradingStateRequest,
                "StrategyService/ListStrategies": strategy_pb2.ListRequest,
                "TradingService/GetWallet": trading_pb2.WalletRequest,
                "TradingService/GetPositions": trading_pb2.PositionsRequest,
            }[path]
            return channel.unary_unary(
                f"/arbiter.v1.{path}", request_serializer=request.SerializeToString, response_deserializer=reply.FromString
            )

        self._authenticate = method("UserService/Authenticate", user_pb2.AuthResponse)
        self._profile = method("UserService/GetProfile", user_pb2.ProfileResponse)
        self._state = method("TradingService/GetTradingState", trading_pb2.TradingStateResponse)
        self._strategies = method("StrategyService/ListStrategies", strategy_pb2.StrategiesResponse)
        self._wallet = method("TradingService/GetWallet", trading_pb2.WalletResponse)
        self._positions = method("TradingService/GetPositions", trading_pb2.PositionsResponse)

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
        profile, state, listed, wallet, positions = await asyncio.gather(
            self._profile(user_pb2.ProfileRequest(), timeout=CALL_SECONDS, metadata=metadata),
            self._state(trading_pb2.TradingStateRequest(), timeout=CALL_SECONDS, metadata=metadata),
            self._strategies(strategy_pb2.ListRequest(), timeout=CALL_SECONDS, metadata=metadata),
            self._wallet(trading_pb2.WalletRequest(), timeout=CALL_SECONDS, metadata=metadata),
            self._positions(trading_pb2.PositionsRequest(), timeout=CALL_SECONDS, metadata=metadata),
        )
        strategies = {each.name: each.enabled for each in listed.strategies}
        held = [types.position(each) for each in positions.positions]
        return views.status(types.profile(profile), types.trading_state(state), strategies, types.wallet(wallet), held).text


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
