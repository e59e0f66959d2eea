"""Recordings of what went over the wire (`arbiter-frames-1`): writing them beside the connectors, and playing them back to connectors.

    lines       the format: one struct a line
    file        the compressed file: whole zstd frames, written by a thread; read with its faults told
    redacted    what is never written
    dissect     bytes of one connection -> lines
    tap         a `Network` that shows the bytes to a recorder and hands them on
    venue_side  the venue's end of one connection that is played
    playback    a `Network` whose other end is a recording
    lockstep    a trio clock that stands at the recorded time, and who moves it

Nothing here knows one venue from another.
"""
