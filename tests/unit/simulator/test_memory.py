import msgspec

from ald.plant.model import AddressRange, DataType, Point, Table
from ald.simulator.memory import Memory
from unit.simulator.machines import plant


def test_shared_tables_are_one():
    memory = Memory(plant(shared_registers=True, shared_bits=True))
    memory.write(Table.HOLDING, 5, [7])
    memory.write(Table.COIL, 5, [1])
    assert memory.read(Table.INPUT, 5, 1) == [7]
    assert memory.read(Table.DISCRETE, 5, 1) == [1]


def test_tables_are_apart_unless_shared():
    memory = Memory(plant(shared_registers=False, shared_bits=False))
    memory.write(Table.HOLDING, 5, [7])
    memory.write(Table.COIL, 5, [1])
    assert memory.read(Table.INPUT, 5, 1) == [0]
    assert memory.read(Table.DISCRETE, 5, 1) == [0]


def test_without_declared_ranges_every_address_answers_up_to_the_last():
    memory = Memory(plant())
    assert memory.serves(Table.HOLDING, 65411, 125)
    assert not memory.serves(Table.HOLDING, 65412, 125)


def test_declared_ranges_refuse_what_lies_outside_but_serve_what_the_machine_names():
    declared = (AddressRange(table=Table.HOLDING, first=100, last=109),)
    memory = Memory(plant(readable=declared))
    assert memory.serves(Table.HOLDING, 100, 10)
    assert memory.serves(Table.INPUT, 100, 10), "the tables are shared"
    assert not memory.serves(Table.HOLDING, 99, 2)
    assert memory.serves(Table.HOLDING, 110, 2), "a parameter lies there"
    assert memory.serves(Table.HOLDING, 190, 1), "the heartbeat lies there"
    assert not memory.serves(Table.HOLDING, 189, 2)
    assert memory.serves(Table.COIL, 0, 100), "nothing was declared for bits"


def test_a_range_of_one_table_says_nothing_of_another_that_is_apart():
    declared = (AddressRange(table=Table.HOLDING, first=100, last=109),)
    memory = Memory(plant(readable=declared, shared_registers=False))
    assert memory.serves(Table.INPUT, 0, 10)


def test_a_bit_of_a_register_is_read_and_changed_by_itself():
    memory = Memory(plant())
    memory.write(Table.HOLDING, 5, [0x8001])
    point = Point(table=Table.HOLDING, address=5, type=DataType.BOOL, bit=15)
    assert memory.value(point) == 1.0
    memory.put(point, 0.0)
    assert memory.read(Table.HOLDING, 5, 1) == [1]
    memory.put(msgspec.structs.replace(point, bit=8), 1.0)
    assert memory.read(Table.HOLDING, 5, 1) == [0x0101]
