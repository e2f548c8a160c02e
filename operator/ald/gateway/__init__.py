"""The processes beside a machine: the driver that moves it, and the front that speaks for it."""
