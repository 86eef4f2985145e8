"""SMPP 3.4 (and 5.0 where it costs nothing): codec, sessions, receipts and times, all of them pure functions of bytes and the time."""
