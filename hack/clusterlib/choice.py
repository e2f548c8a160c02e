"""Which node image: kind's published one (stock), or one that is built here (built)."""

import os
import re
from enum import StrEnum

from clusterlib import engine, programs
from clusterlib.shell import ClusterError, say, succeeds

VARIABLE = "ALD_CLUSTER"
REGISTRY_TIMEOUT_S_MAX = 10.0


class Way(StrEnum):
    """How the cluster's nodes come about."""

    STOCK = "stock"
    BUILT = "built"


def choose() -> Way:
    """Return the way that the environment asks for; without a wish, stock where it can be had.

    Raises:
        ClusterError: the wish is no way, or cannot be had.
    """
    wish = os.environ.get(VARIABLE, "auto")
    if wish not in (*Way, "auto"):
        raise ClusterError(f"{VARIABLE}={wish}: not one of auto, {', '.join(Way)}")
    if wish == Way.BUILT or (wish == "auto" and engine.is_ours()):
        return Way.BUILT
    if wish == Way.STOCK:
        if not engine.answers():
            raise ClusterError(f"{VARIABLE}=stock needs a container engine, and none answers")
        return Way.STOCK
    if not engine.answers():
        say("no container engine answers: the cluster is built from packages and modules")
        return Way.BUILT
    if can_be_had(published_image()):
        return Way.STOCK
    say("the published node image cannot be had: it is built from packages and modules")
    return Way.BUILT


def can_be_had(image: str) -> bool:
    """Tell whether the engine has an image, or its registry answers for it soon."""
    return engine.has_image(image) or succeeds(
        *("docker", "manifest", "inspect", image),
        env=engine.environment(),
        timeout_s=REGISTRY_TIMEOUT_S_MAX,
    )


def published_image() -> str:
    """Return the node image that this version of kind creates clusters from."""
    source = programs.module_source("kind", "sigs.k8s.io/kind")
    text = (source / "pkg/apis/config/defaults/image.go").read_text()
    found = re.search(r'Image = "([^"]+)"', text)
    if found is None:
        raise ClusterError(f"{source}: no default node image found")
    return found[1]
