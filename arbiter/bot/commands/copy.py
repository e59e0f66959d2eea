"""/copy: copy trading is not available yet; what one types is checked all the same."""

from arbiter.bot.commands.base import Call
from arbiter.bot.text import escape, shown
from arbiter.bot.views import HOME, Answer
from arbiter.domain.money import MICRO, Micros, format_dollars, format_micros, parse_micros

NOT_YET = "Copy trading is not available yet."
USAGE = "Usage: /copy add &lt;wallet&gt; [allocation %] [max position $], by default 10 and 100"
DEFAULT_ALLOCATION = Micros(10 * MICRO)
DEFAULT_MOST = Micros(100 * MICRO)
WALLET_LENGTH = 42


async def copy(call: Call) -> Answer:
    """`add` is checked, everything is answered plainly."""
    words = call.words
    if words and words[0].lower() == "add":
        return Answer(check_add(words[1:]))
    return Answer(f"{NOT_YET}\n{USAGE}")


async def copy_list(call: Call) -> Answer:
    """The dashboard's button."""
    return Answer(f"{NOT_YET} There are no copy trades.", ((HOME,),), NOT_YET)


def check_add(words: list[str]) -> str:
    """What is wrong with it and the usage, or what it would do (HTML)."""
    if not words:
        return f"There is no wallet.\n{USAGE}"
    if len(words) > 3:
        return f"That is too much: a wallet, an allocation and a largest position.\n{USAGE}"
    wallet, *numbers = words
    if not is_wallet(wallet):
        return f"{shown(wallet)} is not a wallet: 0x and 40 hexadecimal digits.\n{USAGE}"
    try:
        allocation = parse_micros(numbers[0].removesuffix("%")) if numbers else DEFAULT_ALLOCATION
    except ValueError:
        return f"{shown(numbers[0])} is not a percentage.\n{USAGE}"
    if not 0 < allocation <= 100 * MICRO:
        return f"The allocation must be above 0 and at most 100 %, not {shown(numbers[0])}.\n{USAGE}"
    try:
        most = parse_micros(numbers[1].removeprefix("$")) if len(numbers) > 1 else DEFAULT_MOST
    except ValueError:
        return f"{shown(numbers[1])} is not an amount of dollars.\n{USAGE}"
    if most <= 0:
        return f"The largest position must be above $0, not {shown(numbers[1])}.\n{USAGE}"
    meant = f"copy <code>{escape(wallet)}</code> with {format_micros(allocation, 0)} %, at most {format_dollars(most)} a position"
    return f"{NOT_YET} Nothing was set up. It would {meant}."


def is_wallet(text: str) -> bool:
    """An Ethereum address, without its checksum."""
    return len(text) == WALLET_LENGTH and text[:2].lower() == "0x" and all(c in "0123456789abcdefABCDEF" for c in text[2:])
