"""The operations of a pickle, before any of them is run."""

import io
import pickletools
from collections.abc import Iterator


def operations(stream: io.BufferedIOBase) -> Iterator[str]:
    """Their names, one after the other; leaves the stream behind the pickle.

    Raises:
        ValueError: if one asks for memory that its bytes do not justify. Of damaged
            pickles, also whatever else Python's own reader raises.
    """
    start = stream.tell()
    for operation, argument, place in pickletools.genops(stream):
        # The memo is a list as long as its highest number, of which 4 bytes promise 32
        # GiB. No honest pickle has more entries than bytes.
        if operation.name in ("PUT", "LONG_BINPUT") and argument > place - start:
            raise ValueError(f"a memo of {argument} entries in a pickle of fewer bytes")
        yield operation.name
