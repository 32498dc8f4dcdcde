"""Which partition a key goes to, as Java's client and librdkafka's `murmur2` have it: for what runs without a broker."""

SEED, MULTIPLIER, SHIFT, MASK = 0x9747B28C, 0x5BD1E995, 24, 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """MurmurHash2 of 32 bits, unsigned."""
    length = len(data)
    found = SEED ^ length
    whole = length - length % 4
    for at in range(0, whole, 4):
        part = int.from_bytes(data[at : at + 4], "little") * MULTIPLIER & MASK
        part = (part ^ part >> SHIFT) * MULTIPLIER & MASK
        found = found * MULTIPLIER & MASK ^ part
    if rest := data[whole:]:
        found = (found ^ int.from_bytes(rest, "little")) * MULTIPLIER & MASK
    found = (found ^ found >> 13) * MULTIPLIER & MASK
    return found ^ found >> 15
