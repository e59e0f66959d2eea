"""A venue's rate limits as data: which limits there are, and what each request costs of which."""

import msgspec

from arbiter.venues.token_bucket import Limit


class Charge(msgspec.Struct, frozen=True):
    """What one request takes of one limit."""

    limit: str
    cost: int = 1
    each: bool = False
    """Once for each part of a batch; otherwise once for the request."""


class Rule(msgspec.Struct, frozen=True):
    """Requests and what they take.

    A path that ends in `/` stands for all below it, a segment `*` for any one; no method stands for every one.
    """

    path: str
    charges: tuple[Charge, ...]
    method: str = ""

    def covers(self, method: str, path: str) -> bool:
        if self.method and self.method != method:
            return False
        if "*" in self.path:
            wanted, given = self.path.split("/"), path.split("/")
            return len(wanted) == len(given) and all(each in ("*", segment) for each, segment in zip(wanted, given, strict=True))
        return path.startswith(self.path) if self.path.endswith("/") else path == self.path


class LimitTable(msgspec.Struct, frozen=True):
    """One host's limits. Of the rules that cover a request the one with the longest path counts, then one that names the method.

    A rule's first charge is the narrowest limit: what the venue says of a request in its headers is about that one.
    """

    limits: tuple[Limit, ...]
    rules: tuple[Rule, ...]

    def charges(self, method: str, path: str) -> tuple[Charge, ...]:
        """What this request takes (path without the query, relative to the host's base address); nothing where no rule covers it."""
        covering = [rule for rule in self.rules if rule.covers(method, path)]
        return max(covering, key=lambda rule: (len(rule.path), bool(rule.method))).charges if covering else ()


NO_LIMITS = LimitTable((), ())
