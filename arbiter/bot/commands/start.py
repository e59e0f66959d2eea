"""/start links a Telegram account by a one-time code; /unlink takes it off; /help says what there is."""

from arbiter.bot.commands.base import Call
from arbiter.bot.text import escape
from arbiter.bot.views import Answer, say
from arbiter.rpc.client import ArbiterClient
from arbiter.rpc.client_errors import ArbiterClientError, NotFoundError

LONGEST_CODE = 64
HOW = (
    "To link this chat to your trading account, make a code where Arbiter runs: <code>arbiter link-code</code> prints one, and so does "
    "the start of the sandbox. Send it here: /start CODE. A code works once and for 10 minutes. Keep it to yourself."
)
NOT_VALID = "This code is not valid. It may be mistyped, used already, or older than 10 minutes. Make a new one and send /start CODE."
FORWARDED = (
    "This code was forwarded, so it was not used: a code is for its owner's own chat with this bot, and whoever sends it links THEIR chat. "
    "If somebody asked you to send it, do not; make a new code, which makes this one worthless."
)


async def start(call: Call) -> Answer:
    """With a code: link. Alone: how to."""
    code = call.arguments.strip()
    if not code:
        return await _without_code(call)
    if call.forwarded:
        return say(FORWARDED)
    if len(code) > LONGEST_CODE:
        return say(NOT_VALID)
    try:
        name = await call.backend.redeem(code, call.user, call.user_name)
    except NotFoundError:
        return say(NOT_VALID)
    return Answer(
        f"Linked: this chat now steers the trading account <b>{escape(name)}</b>.\n/home is the dashboard, /help lists all commands."
    )


async def _without_code(call: Call) -> Answer:
    try:
        profile = await call.ask(ArbiterClient.get_profile)
    except ArbiterClientError:
        return Answer(HOW)
    return Answer(f"This chat is linked to <b>{escape(profile.name)}</b>. /home is the dashboard, /help lists all commands.")


async def unlink(call: Call) -> Answer:
    """Take this Telegram account off the trading account."""
    if not call.confirmed:
        return say(
            "This takes this chat off your trading account; the account and its trading stay as they are. Send /unlink CONFIRM to do it."
        )
    was_linked = await call.act(ArbiterClient.unlink)
    call.backend.forget(call.user)
    return say("Unlinked. /start CODE links again." if was_linked else "There was nothing linked.")
