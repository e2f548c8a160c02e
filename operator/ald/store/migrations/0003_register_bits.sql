-- A bool that is one bit of a register: which, 0 the least significant; null for all others.
ALTER TABLE component_parameters ADD COLUMN modbus_bit smallint CHECK (modbus_bit BETWEEN 0 AND 15);
