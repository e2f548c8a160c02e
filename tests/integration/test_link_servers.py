"""The link against servers that others wrote: every function, type and order comes back as it was written."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock
from pyModbusTCP.server import DataBank
from pyModbusTCP.server import ModbusServer as ThreadedServer

from ald.errors import ModbusExceptionError
from ald.plant.model import DataType, Order, Table
from ald.plant.words import raw_of_words, words_of_raw
from ald.plc import codec
from ald.plc.request import ReadBits, ReadRegisters, WriteCoil, WriteCoils, WriteRegisters
from fixtures.ports import free_port
from fixtures.pymodbus_server import pymodbus_server
from integration.link_loop import loop

pytestmark = [pytest.mark.integration, pytest.mark.requirement("CMD-06")]

ADDRESSES = 2000
START_S_MAX = 30.0
BUILD_S_MAX = 120.0
EXTREMES = {
    DataType.INT16: (-(2**15), -2, 2**15 - 1),
    DataType.UINT16: (0, 258, 2**16 - 1),
    DataType.INT32: (-(2**31), -2, 2**31 - 1),
    DataType.UINT32: (0, 0x01020304, 2**32 - 1),
    DataType.INT64: (-(2**63), -2, 2**63 - 1),
    DataType.UINT64: (0, 0x0102030405060708, 2**64 - 1),
    DataType.FLOAT32: (-0.0, 200.25, 2.0**127),
    DataType.FLOAT64: (-0.0, 0.1, 2.0**1023),
}


@pytest.fixture(scope="module")
def libmodbus(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("cc is missing: apt-get install gcc")
    program = tmp_path_factory.mktemp("libmodbus") / "server"
    source = Path(__file__).with_name("libmodbus_server.c")
    made = subprocess.run(
        [compiler, source, "-I/usr/include/modbus", "-lmodbus", "-o", program],
        capture_output=True,
        text=True,
        check=False,
    )
    if "modbus.h" in made.stderr:
        pytest.skip("libmodbus is missing: apt-get install libmodbus-dev")
    assert made.returncode == 0, made.stderr
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.kill()


@pytest.fixture(scope="module")
def pymodbus():
    memory = ModbusDeviceContext(
        di=ModbusSequentialDataBlock(1, [1] * ADDRESSES),
        co=ModbusSequentialDataBlock(1, [0] * ADDRESSES),
        ir=ModbusSequentialDataBlock(1, [0x1234] * ADDRESSES),
        hr=ModbusSequentialDataBlock(1, [0] * ADDRESSES),
    )
    with pymodbus_server(memory) as port:
        yield port


@pytest.fixture(scope="module")
def pymodbus_tcp():
    port = free_port()
    memory = DataBank(
        coils_size=ADDRESSES,
        d_inputs_size=ADDRESSES,
        d_inputs_default_value=True,
        h_regs_size=ADDRESSES,
        i_regs_size=ADDRESSES,
        i_regs_default_value=0x1234,
    )
    server = ThreadedServer("127.0.0.1", port, no_block=True, data_bank=memory)
    server.start()
    yield port
    server.stop()


@pytest.fixture(scope="module")
def rmodbus(tmp_path_factory):
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("cargo is missing: install Rust to test against a server in it")
    directory = tmp_path_factory.mktemp("rmodbus")
    shutil.copytree(Path(__file__).with_name("rmodbus_server"), directory, dirs_exist_ok=True)
    made = subprocess.run(
        [cargo, "build", "--quiet"],
        cwd=directory,
        env={**os.environ, "CARGO_TARGET_DIR": str(directory / "target")},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_S_MAX,
    )
    if made.returncode and not any(word in made.stderr for word in ("error[E", "main.rs")):
        pytest.skip(f"cargo cannot fetch or build rmodbus here: {made.stderr.strip()[-300:]}")
    assert made.returncode == 0, made.stderr
    program = directory / "target" / "debug" / "rmodbus-server"
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.kill()


@pytest.fixture(params=["libmodbus", "pymodbus", "pymodbus_tcp", "rmodbus"])
def driver(request):
    with loop(request.getfixturevalue(request.param), timeout_s=5) as made:
        made.server = request.param
        made.up()
        yield made


def registers(driver, address, count, table=Table.HOLDING):
    completion = driver.result(ReadRegisters(table, address, count))
    assert completion.ok, completion.error
    return codec.words(completion.data)


def bits(driver, address, count, table=Table.COIL):
    completion = driver.result(ReadBits(table, address, count))
    assert completion.ok, completion.error
    return tuple(codec.unpack_bits(completion.data, count))


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("kind", EXTREMES)
def test_every_type_in_every_order_comes_back_as_it_was_written(driver, kind, order):
    for raw in EXTREMES[kind]:
        assert driver.result(WriteRegisters(100, words_of_raw(raw, kind, order))).ok
        found = raw_of_words(registers(driver, 100, kind.words), kind, order)
        assert (found, str(found)) == (raw, str(raw))


def test_coils_one_by_one_and_many_at_once(driver):
    assert driver.result(WriteCoil(7, True)).ok
    assert bits(driver, 6, 3) == (0, 1, 0)
    assert driver.result(WriteCoil(7, False)).ok
    assert bits(driver, 6, 3) == (0, 0, 0)
    pattern = tuple(n % 3 == 0 for n in range(1000))
    assert driver.result(WriteCoils(10, pattern)).ok
    assert bits(driver, 10, 1000) == pattern


def test_inputs_are_read_from_tables_of_their_own(driver):
    assert registers(driver, 0, 3, Table.INPUT) == (0x1234,) * 3
    assert bits(driver, 0, 11, Table.DISCRETE) == (1,) * 11


def test_the_largest_requests_that_the_protocol_knows(driver):
    # rmodbus holds frames in 256 bytes, and the longest there are have 260.
    words = tuple(range(1, 122 if driver.server == "rmodbus" else 124))
    assert driver.result(WriteRegisters(200, words)).ok
    assert registers(driver, 200, 125) == words + (0,) * (125 - len(words))
    assert len(bits(driver, 0, 1968)) == 1968


def test_what_lies_beyond_is_refused_and_the_connection_stays(driver):
    refused = driver.result(ReadRegisters(Table.HOLDING, ADDRESSES + 10, 1))
    assert isinstance(refused.error, ModbusExceptionError)
    assert refused.error.code == 2
    assert registers(driver, 0, 1) == (0,)
    assert driver.link.counters.reconnects == 0
