"""Who trades at the sandbox's Polymarket: wallets with names, a few of them leaders that trade most and best. All made up."""

from random import Random

import msgspec

LEADERS, CROWD = 5, 35
_FIRST = ("Amber", "Brisk", "Calm", "Dusty", "Eager", "Frosty", "Gentle", "Humble", "Ivory", "Jolly")
_SECOND = ("Badger", "Comet", "Dolphin", "Ember", "Falcon", "Garnet", "Heron", "Island")


class Wallet(msgspec.Struct, frozen=True):
    """A proxy wallet (0x address) and what its owner calls themselves."""

    address: str
    name: str
    pseudonym: str
    leader: bool

    @property
    def public(self) -> dict[str, str]:
        """As v2 rows carry it."""
        return {"name": self.name, "pseudonym": self.pseudonym, "bio": "", "profile_image": ""}


class People:
    """The same for the same seed."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)  # noqa: S311 repeatable on purpose
        self.wallets: tuple[Wallet, ...] = tuple(self._make(random, number) for number in range(LEADERS + CROWD))
        self._by_address = {wallet.address: wallet for wallet in self.wallets}

    @staticmethod
    def _make(random: Random, number: int) -> Wallet:
        name = f"{_FIRST[number % len(_FIRST)]}{_SECOND[number % len(_SECOND)]}{number}"
        pseudonym = f"{random.choice(_FIRST)}-{random.choice(_SECOND)}"
        return Wallet(f"0x{random.getrandbits(160):040x}", name, pseudonym, number < LEADERS)

    def pick(self, random: Random) -> Wallet:
        """Somebody: every other time a leader."""
        return self.wallets[random.randrange(LEADERS) if random.randrange(2) else random.randrange(len(self.wallets))]

    def profile(self, address: str) -> dict[str, object] | None:
        """Gamma's `/public-profile`; None for a wallet that nobody has."""
        wallet = self._by_address.get(address)
        if wallet is None:
            return None
        return {"proxyWallet": wallet.address, "name": wallet.name, "pseudonym": wallet.pseudonym, "bio": "", "profileImage": None}
