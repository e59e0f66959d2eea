"""Pure rules of trading: no trio, no clock, no I/O, no logging. Everything here can be called from anywhere."""
