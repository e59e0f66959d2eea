"""What goes wrong at a venue: begun by a test, or at set times by a script. docs/sandbox.md lists the faults.

An engine has one `Faults`. Its sockets and answers go through it, so the engine itself knows nothing of faults.
"""

from arbiter.sandbox.faults.fault import ANSWERS, FRAMES, NOW, Fault
from arbiter.sandbox.faults.plan import Faults, Special
from arbiter.sandbox.faults.script import Script

__all__ = ["ANSWERS", "FRAMES", "NOW", "Fault", "Faults", "Script", "Special"]
