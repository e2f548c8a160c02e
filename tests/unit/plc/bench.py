"""The link without a socket: the test is the kernel, the PLC and the clock."""

import struct

from ald.plant.model import LinkSettings, Table
from ald.plc.link import Link
from ald.plc.request import ReadRegisters, WriteCoil

MS = 1_000_000
READ = ReadRegisters(Table.HOLDING, 0, 2)
OPEN = WriteCoil(15, True)
CLOSE = WriteCoil(15, False)


class Bench:
    """A link that came up at time 0, and what the PLC saw of it."""

    def __init__(self, *, window=1, random=lambda: 0.0, up=True, pauses=(0, 0)):
        settings = LinkSettings(
            host="10.0.0.9",
            timeout_ns=1000 * MS,
            requests_in_flight=window,
            unit=1,
            pause_connect_ns=pauses[0],
            pause_request_ns=pauses[1],
        )
        self.link = Link(settings, random)
        self.seen = []
        if up:
            self.reconnect(0)

    def reconnect(self, now):
        assert self.link.begin_connect(now)
        self.link.opened(now)

    def flush(self, now):
        """Hand over whatever the link wants to send; the PLC notes the frames."""
        self.link.tick(now)
        data = self.link.outgoing(now)
        while data:
            size = 6 + struct.unpack_from(">H", data, 4)[0]
            self.seen.append(data[:size])
            data = data[size:]
            self.link.handed_over(size, now)

    def answer(self, now, *, frame=None, values=(1, 2)):
        """Answer the oldest frame as a PLC would."""
        frame = self.seen.pop(0) if frame is None else frame
        self.link.receive(answer_to(frame, values), now)

    def wake(self, now):
        """Return when the link wants to be called next; it must want to."""
        wake_ns = self.link.next_wake_ns(now)
        assert wake_ns is not None
        return wake_ns

    def done(self):
        return {c.token: c for c in self.link.completions()}


def answer_to(frame, values=(1, 2)):
    pdu = frame[7:]
    if pdu[0] in (3, 4):
        pdu = bytes([pdu[0], 2 * len(values)]) + struct.pack(f">{len(values)}H", *values)
    elif pdu[0] in (1, 2):
        pdu = bytes([pdu[0], 1, 1])
    elif pdu[0] in (15, 16):
        pdu = pdu[:5]
    return frame[:4] + struct.pack(">H", 1 + len(pdu)) + frame[6:7] + pdu


def exception_to(frame, code):
    return frame[:4] + struct.pack(">H", 3) + frame[6:7] + bytes([frame[7] | 0x80, code])


def functions(bench):
    return [frame[7] for frame in bench.seen]
