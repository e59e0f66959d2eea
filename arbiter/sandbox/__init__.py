"""Stand-ins that speak the venues' real wire protocols on loopback. Knows `domain`, never `venues`."""
