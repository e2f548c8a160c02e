"""What the driver is told by its environment, read once."""

from pathlib import Path
from typing import Annotated

import msgspec

from ald.standing import RealTimeMode


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Each field is the variable `ALD_FIELD`."""

    installation: Annotated[str, msgspec.Meta(description="Name of this installation of ald.")]
    namespace: Annotated[str, msgspec.Meta(description="Namespace of the Machine.")]
    machine: Annotated[str, msgspec.Meta(description="Name of the Machine.")]
    machine_uid: Annotated[str, msgspec.Meta(description="Uid of the Machine.")] = ""
    run_dir: Annotated[str, msgspec.Meta(description="Memory volume shared with the front.")] = (
        "/run/ald"
    )
    state_dir: Annotated[str, msgspec.Meta(description="Volume that outlives the pod.")] = (
        "/var/lib/ald"
    )
    real_time: Annotated[
        RealTimeMode,
        msgspec.Meta(description="Try asks the host for real-time priority; runs go on without."),
    ] = RealTimeMode.OFF
    log_level: Annotated[str, msgspec.Meta(description="debug, info, warning or error.")] = "info"

    @property
    def ring(self) -> Path:
        """Records on their way to the front."""
        return Path(self.run_dir, "ring")

    @property
    def socket(self) -> Path:
        """Where requests come in."""
        return Path(self.run_dir, "driver.sock")

    @property
    def alive(self) -> Path:
        """When the driver last turned."""
        return Path(self.run_dir, "driver.alive")

    @property
    def run_state(self) -> Path:
        """Which run is on, to the leaf; in memory."""
        return Path(self.run_dir, "run.state")

    @property
    def holder(self) -> Path:
        """The lock on the machine."""
        return Path(self.state_dir, "holder")

    @property
    def plant(self) -> Path:
        """The accepted configuration."""
        return Path(self.state_dir, "plant.bin")

    @property
    def reserved(self) -> Path:
        """How far the run that is on may come."""
        return Path(self.state_dir, "reserved.bin")

    @property
    def ledger(self) -> Path:
        """Which runs were ever started, and whether one is on."""
        return Path(self.state_dir, "runs.bin")
