"""A local Bot API with its people and their chat page: Telegram's HTTP interface as bots see it, without I/O and without a clock."""
