"""Where things are: sources under git, the ignored cache, and what belongs to the machine."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "hack" / "cluster.d"
GO_MODULES = DATA / "go"

CACHE = ROOT / ".cache"
TOOLS = CACHE / "bin"
WORK = CACHE / "cluster"
NODE_BINARIES = WORK / "bin"
GO_BUILD_CACHE = WORK / "gocache"
ENGINE_DATA = WORK / "engine"
LOGS = WORK / "log"

# An engine is a thing of the machine (one docker0, one set of firewall chains), whichever checkout
# started it; and the path of a socket has 107 bytes at most, which a deep checkout exceeds.
RUN = Path("/run/ald-cluster")
SOCKET = RUN / "docker.sock"


def digest(*inputs: str | Path) -> str:
    """Return a short digest of strings, files and whole directories, in this order."""
    total = hashlib.sha256()
    for item in inputs:
        for part in _parts(item):
            total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:12]


def _parts(item: str | Path) -> Iterable[bytes]:
    if isinstance(item, str):
        yield item.encode()
    elif item.is_dir():
        for path in sorted(p for p in item.rglob("*") if p.is_file()):
            yield str(path.relative_to(item)).encode()
            yield path.read_bytes()
    else:
        yield item.read_bytes()
