// A Modbus TCP server by rmodbus, for tests of the link: prints its port and serves one connection after the other.
//
// 2000 addresses a table; input registers hold 0x1234, discrete inputs 1.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use rmodbus::server::context::ModbusContext;
use rmodbus::server::storage::ModbusStorage;
use rmodbus::server::ModbusFrame;
use rmodbus::ModbusProto;

const ADDRESSES: usize = 2000;
const HEADER: usize = 6;

type Memory = ModbusStorage<ADDRESSES, ADDRESSES, ADDRESSES, ADDRESSES>;

fn main() {
    let mut memory = Memory::default();
    for address in 0..ADDRESSES as u16 {
        memory.set_input(address, 0x1234).unwrap();
        memory.set_discrete(address, true).unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    for stream in listener.incoming().flatten() {
        // Whatever ends a connection, the next one is served.
        let _ = serve(stream, &mut memory);
    }
}

fn serve(mut stream: TcpStream, memory: &mut Memory) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut request = vec![0; HEADER];
        stream.read_exact(&mut request)?;
        let length = u16::from_be_bytes([request[4], request[5]]) as usize;
        request.resize(HEADER + length, 0);
        stream.read_exact(&mut request[HEADER..])?;
        let mut response = Vec::new();
        let mut frame = ModbusFrame::new(1, &request, ModbusProto::TcpUdp, &mut response);
        if frame.parse().is_err() {
            return Ok(());
        }
        if frame.processing_required {
            let done = if frame.readonly {
                frame.process_read(memory)
            } else {
                frame.process_write(memory)
            };
            if done.is_err() {
                return Ok(());
            }
        }
        if frame.response_required {
            if frame.finalize_response().is_err() {
                return Ok(());
            }
            stream.write_all(&response)?;
        }
    }
}
