"""The bench's tiers. Importing this raises the limits of `pro`, so it comes before the modules that take them by name.

The user who is measured is of tier `pro`: its bucket is real, is asked at every call and does not run empty. The neighbour who goes over
its limit is of tier `enterprise`, which stays as it is.
"""

from types import MappingProxyType

import msgspec

from arbiter.domain import limits
from arbiter.domain.account import Tier

MEASURED, NEIGHBOUR = Tier.PRO, Tier.ENTERPRISE
_raised = msgspec.structs.replace(limits.TIERS[MEASURED], requests_per_second=1_000_000_000, streams=1_000_000)
limits.TIERS = MappingProxyType({**limits.TIERS, MEASURED: _raised})
