"""The Telegram bridge: a second way in, beside gRPC, and a client of it like any other.

    bridge.py       the actor: starts and ends what is below
    telegram_bot.py python-telegram-bot on trio: the few lines that its asyncio parts need
    poller.py       getUpdates: nothing lost, nothing twice
    handled.py      which updates are handled, and what may be confirmed to Telegram; kept in a file
    chats.py        what is in hand: order within a chat, chats side by side, a stop at once
    reception.py    what becomes of an update, decided when it arrives
    throttle.py     how much one user may ask
    incoming.py     what an update asks for, and what is ignored, pure
    router.py       an update -> who may -> a command -> its answer
    stops.py        confirmed stops: the last word, repeated until the core confirms them
    sender.py       what is sent: order within a chat, Telegram's limits, retries with a bound
    backend.py      the one connection to the core, and the users' short tokens
    explain.py      what went wrong, for a person, pure
    faults.py       what went wrong, for the log, without secrets
    commands/       one command family a file: arguments -> call of the core -> view
    views.py        data -> text and buttons, pure
    text.py         escaping, cutting and splitting, pure
    buttons.py      callback data: short, bound to the user

Nothing here decides about money: that is the core's, which the bridge reaches through `ArbiterClient` alone.
Importing `telegram` takes a while: import `bridge` where a bot is configured, not before.
"""
