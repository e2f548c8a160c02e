"""What the front is told by its environment, read once."""

from pathlib import Path
from typing import Annotated

import msgspec

from ald.plant.model import Identity
from ald.units import parse_duration_ns


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Each field is the variable `ALD_FIELD`."""

    installation: Annotated[str, msgspec.Meta(description="Name of this installation of ald.")]
    namespace: Annotated[str, msgspec.Meta(description="Namespace of the Machine.")]
    machine: Annotated[str, msgspec.Meta(description="Name of the Machine.")]
    machine_uid: Annotated[str, msgspec.Meta(description="Uid of the Machine.")]
    run_dir: Annotated[str, msgspec.Meta(description="Memory volume shared with the driver.")] = (
        "/run/ald"
    )
    state_dir: Annotated[str, msgspec.Meta(description="Volume that outlives the pod.")] = (
        "/var/lib/ald"
    )
    log_level: Annotated[str, msgspec.Meta(description="debug, info, warning or error.")] = "info"
    tls_dir: Annotated[str, msgspec.Meta(description="Holds tls.crt, tls.key and ca.crt.")] = (
        "/etc/ald/tls"
    )
    https_port: Annotated[int, msgspec.Meta(ge=0, le=65535, description="Commands; 0: any.")] = 8443
    plain_port: Annotated[
        int, msgspec.Meta(ge=0, le=65535, description="Probes and metrics; 0: any.")
    ] = 8080
    feed_keep: Annotated[
        str, msgspec.Meta(description="How long records stay that a reader has committed.")
    ] = "24h"
    feed_bytes_max: Annotated[
        int, msgspec.Meta(ge=1_000_000, description="Size that the journal is kept below.")
    ] = 2 * 1024**3

    @property
    def identity(self) -> Identity:
        """Whose gateway this is."""
        return Identity(
            installation=self.installation,
            namespace=self.namespace,
            name=self.machine,
            uid=self.machine_uid,
        )

    @property
    def ring(self) -> Path:
        """Records on their way from the driver."""
        return Path(self.run_dir, "ring")

    @property
    def socket(self) -> Path:
        """Where the driver listens."""
        return Path(self.run_dir, "driver.sock")

    @property
    def holder(self) -> Path:
        """The driver's lock on the machine."""
        return Path(self.state_dir, "holder")

    @property
    def tls_path(self) -> Path:
        """Key, certificate and authorities."""
        return Path(self.tls_dir)

    @property
    def feed(self) -> Path:
        """Journal and spool."""
        return Path(self.state_dir, "feed.db")

    @property
    def feed_holder(self) -> Path:
        """The front's lock on the journal."""
        return Path(self.state_dir, "feed.holder")

    @property
    def feed_keep_ns(self) -> int:
        """Raises InvalidInputError where `feed_keep` is no duration."""
        return parse_duration_ns(self.feed_keep, "ALD_FEED_KEEP")
