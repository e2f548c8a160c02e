"""Our bytes against pymodbus' protocol units, both ways, and every way in which an answer can be wrong."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, bit_message, register_message

from ald.errors import LinkDesyncError, ModbusExceptionError
from ald.plant.model import Table
from ald.plc import codec
from ald.plc.pending import Lane, Pending
from ald.plc.request import ReadBits, ReadRegisters, WriteCoil, WriteCoils, WriteRegisters

BIT_TABLES = st.sampled_from([Table.COIL, Table.DISCRETE])
WORD_TABLES = st.sampled_from([Table.HOLDING, Table.INPUT])
WORDS = st.integers(0, 65535)
REQUESTS = st.one_of(
    st.builds(ReadBits, BIT_TABLES, st.integers(0, 63536), st.integers(1, 2000)),
    st.builds(ReadRegisters, WORD_TABLES, st.integers(0, 65411), st.integers(1, 125)),
    st.builds(WriteCoil, st.integers(0, 65535), st.booleans()),
    st.builds(
        WriteCoils,
        st.integers(0, 60000),
        st.lists(st.booleans(), min_size=1, max_size=1968).map(tuple),
    ),
    st.builds(
        WriteRegisters,
        st.integers(0, 65413),
        st.lists(WORDS, min_size=1, max_size=123).map(tuple),
    ),
)


def their_request(request):
    """Return the same request made by pymodbus."""
    match request:
        case ReadBits(table=Table.COIL):
            return bit_message.ReadCoilsRequest(address=request.address, count=request.count)
        case ReadBits():
            return bit_message.ReadDiscreteInputsRequest(
                address=request.address, count=request.count
            )
        case ReadRegisters(table=Table.HOLDING):
            return register_message.ReadHoldingRegistersRequest(
                address=request.address, count=request.count
            )
        case ReadRegisters():
            return register_message.ReadInputRegistersRequest(
                address=request.address, count=request.count
            )
        case WriteCoil():
            return bit_message.WriteSingleCoilRequest(address=request.address, bits=[request.on])
        case WriteCoils():
            return bit_message.WriteMultipleCoilsRequest(
                address=request.address, bits=list(request.bits)
            )
        case WriteRegisters(words=(word,)):
            return register_message.WriteSingleRegisterRequest(
                address=request.address, registers=[word]
            )
        case _:
            return register_message.WriteMultipleRegistersRequest(
                address=request.address, registers=list(request.words)
            )


def their_answer(request, bits, registers):
    """Return pymodbus' answer to the request."""
    match request:
        case ReadBits(table=Table.COIL):
            return bit_message.ReadCoilsResponse(bits=bits)
        case ReadBits():
            return bit_message.ReadDiscreteInputsResponse(bits=bits)
        case ReadRegisters(table=Table.HOLDING):
            return register_message.ReadHoldingRegistersResponse(registers=registers)
        case ReadRegisters():
            return register_message.ReadInputRegistersResponse(registers=registers)
        case WriteCoil():
            return bit_message.WriteSingleCoilResponse(address=request.address, bits=[request.on])
        case WriteCoils():
            return bit_message.WriteMultipleCoilsResponse(
                address=request.address, count=len(request.bits)
            )
        case WriteRegisters(words=(word,)):
            return register_message.WriteSingleRegisterResponse(
                address=request.address, registers=[word]
            )
        case _:
            return register_message.WriteMultipleRegistersResponse(
                address=request.address, count=len(request.words)
            )


def their_frame(pdu, transaction, unit):
    pdu.transaction_id, pdu.dev_id = transaction, unit
    return FramerSocket(DecodePDU(True)).buildFrame(pdu)


def only(data):
    frames = codec.FrameReader().feed(data)
    assert len(frames) == 1
    return frames[0]


@given(REQUESTS, WORDS, st.integers(0, 255))
def test_requests_have_the_bytes_that_pymodbus_gives_them(request, transaction, unit):
    assert codec.encode(request, transaction, unit) == their_frame(
        their_request(request), transaction, unit
    )


@given(REQUESTS, WORDS, st.integers(0, 255))
def test_pymodbus_reads_our_requests_as_what_they_are(request, transaction, unit):
    data = codec.encode(request, transaction, unit)
    used, pdu = FramerSocket(DecodePDU(True)).handleFrame(data, 0, 0)
    theirs = their_request(request)
    assert used == len(data)
    assert pdu is not None
    assert (pdu.transaction_id, pdu.dev_id) == (transaction, unit)
    assert (pdu.function_code, pdu.address) == (theirs.function_code, theirs.address)
    if hasattr(request, "count"):
        assert pdu.count == request.count
    assert pdu.registers == theirs.registers
    if isinstance(request, WriteCoil | WriteCoils):
        assert pdu.bits[: len(theirs.bits)] == theirs.bits


@given(REQUESTS, WORDS, st.integers(0, 255), st.randoms(use_true_random=False))
def test_answers_of_pymodbus_are_read_as_what_they_carry(request, transaction, unit, random):
    count = getattr(request, "count", 0)
    bits = [random.random() < 0.5 for _ in range(count)]
    registers = [random.randrange(65536) for _ in range(count)]
    frame = only(their_frame(their_answer(request, bits, registers), transaction, unit))
    assert frame.transaction == transaction
    data = codec.decode_answer(request, unit, frame)
    match request:
        case ReadBits():
            assert list(codec.unpack_bits(data, count)) == bits
        case ReadRegisters():
            assert list(codec.words(data)) == registers
        case _:
            assert data == b""


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 8, 10, 11, 99])
def test_an_exception_answer_is_told_in_plain_words(code):
    request = WriteCoil(15, True)
    frame = only(their_frame(ExceptionResponse(5, code), 7, 1))
    with pytest.raises(ModbusExceptionError) as raised:
        codec.decode_answer(request, 1, frame)
    assert (raised.value.function, raised.value.code) == (5, code)
    assert str(raised.value).startswith(f"Modbus exception {code}: the ")


READ = ReadRegisters(Table.HOLDING, 100, 2)
GOOD = bytes.fromhex("03 04 0001 0002")


@pytest.mark.requirement("SEC-02")
@pytest.mark.parametrize(
    ("request_", "pdu", "says"),
    [
        (READ, "04 04 0001 0002", "function 4 came as the answer to function 3"),
        (READ, "84 02", "function 132 came"),
        (READ, "83 02 00", "function 131 came"),
        (READ, "03", "claims 0 and has 0"),
        (READ, "03 02 0001", "should bring 4 bytes, claims 2 and has 2"),
        (READ, "03 04 0001", "claims 4 and has 2"),
        (READ, "03 04 0001 0002 0003", "claims 4 and has 6"),
        (READ, "03 06 0001 0002 0003", "claims 6 and has 6"),
        (ReadBits(Table.COIL, 0, 9), "01 01 ff", "should bring 2 bytes"),
        (WriteCoil(15, True), "05 000f 0000", "speaks of another write"),
        (WriteCoil(15, True), "05 0010 ff00", "speaks of another write"),
        (WriteCoil(15, True), "05 000f ff00 00", "speaks of another write"),
        (WriteCoils(15, (True, True)), "0f 000f 0003", "speaks of another write"),
        (WriteRegisters(9, (1, 2)), "10 0009 0001", "speaks of another write"),
    ],
)
def test_an_answer_to_another_question_is_a_desync(request_, pdu, says):
    with pytest.raises(LinkDesyncError, match=says):
        codec.decode_answer(request_, 1, codec.Frame(1, 1, bytes.fromhex(pdu)))


def test_an_answer_of_another_unit_is_a_desync():
    with pytest.raises(LinkDesyncError, match="unit 2 answered instead of unit 1"):
        codec.decode_answer(READ, 1, codec.Frame(1, 2, GOOD))


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("0001 0001 0006 01", "protocol id 1"),
        ("0001 0000 0001 01", "claims 1 bytes"),
        ("0001 0000 0000 01", "claims 0 bytes"),
        ("0001 0000 00ff 01", "claims 255 bytes"),
        ("4854 5450 2f31 2e", "protocol id 21584"),
    ],
)
def test_a_header_that_cannot_be_one_is_a_desync(header, says):
    with pytest.raises(LinkDesyncError, match=says):
        codec.FrameReader().feed(bytes.fromhex(header))


@given(
    st.lists(st.binary(min_size=1, max_size=codec.PDU_BYTES_MAX), max_size=5),
    st.lists(st.integers(1, 40), min_size=1),
)
def test_frames_come_out_whole_however_the_stream_is_cut(pdus, cuts):
    stream = b"".join(
        number.to_bytes(2, "big") + b"\0\0" + (1 + len(pdu)).to_bytes(2, "big") + b"\x09" + pdu
        for number, pdu in enumerate(pdus)
    )
    reader, got, position, turn = codec.FrameReader(), [], 0, 0
    while position < len(stream):
        size = cuts[turn % len(cuts)]
        got += reader.feed(stream[position : position + size])
        position += size
        turn += 1
    assert got == [codec.Frame(number, 9, pdu) for number, pdu in enumerate(pdus)]


@given(st.binary(max_size=600), REQUESTS)
def test_garbage_is_only_ever_a_desync_or_an_exception_answer(data, request):
    reader = codec.FrameReader()
    try:
        for frame in reader.feed(data):
            codec.decode_answer(request, 1, frame)
    except (LinkDesyncError, ModbusExceptionError):
        pass


@given(st.lists(st.booleans(), max_size=50))
def test_bits_survive_packing(bits):
    assert list(codec.unpack_bits(codec.pack_bits(bits), len(bits))) == bits


def test_nothing_is_kept_of_writes_each_of_which_is_another_one():
    values = range(2 * codec.KNOWN_MAX)

    def write() -> None:
        for value in values:
            request = WriteRegisters(2190, (value,))
            codec.encode(request, 1, 1)
            assert Pending(Lane.HEARTBEAT, request, 1, 0).key == "write registers"

    tracemalloc.start()
    try:
        write()
        before, _ = tracemalloc.get_traced_memory()
        write()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert before < len(values) * 10
    assert after - before < len(values)
