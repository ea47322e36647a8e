"""Seeds made of several numbers, such as a seed and an epoch."""

import hashlib


def seed_from(*numbers: int) -> int:
    """One seed made of several numbers. It has 32 bits, because torch's CPU generator ignores the higher bits."""
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:4], "big")
