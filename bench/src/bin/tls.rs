//! What TLS alone moves over loopback: two threads, one session each, nothing else. The yardstick for transfers.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Instant,
};

use protocol::transport::{Identity, peer_configs, server_name};
use rustls::{ClientConnection, ServerConnection, StreamOwned};

/// As large as a block between two clients.
const PIECE_LEN: usize = 128 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mebibytes: usize = std::env::args().nth(1).unwrap_or_else(|| "1024".to_owned()).parse()?;
    let (certificate, key) = Identity::make()?;
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes())?;
    let (server, client) = peer_configs(&identity)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let pieces = mebibytes * 1024 * 1024 / PIECE_LEN;
    let sender = thread::spawn(move || -> io::Result<()> {
        let (stream, _) = listener.accept()?;
        let session = ServerConnection::new(server).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, stream);
        let piece = vec![7; PIECE_LEN];
        for _ in 0..pieces {
            stream.write_all(&piece)?;
        }
        stream.conn.send_close_notify();
        stream.flush()
    });
    let begin = Instant::now();
    let session = ClientConnection::new(client, server_name("parlour.invalid"))?;
    let mut stream = StreamOwned::new(session, TcpStream::connect(address)?);
    let mut buffer = vec![0; PIECE_LEN];
    let mut len: usize = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            more => len += more,
        }
    }
    let wall = begin.elapsed();
    sender.join().map_err(|_| "the sender panicked")??;
    let mebibytes = len / (1024 * 1024);
    let per_second = mebibytes as u128 * 1000 / wall.as_millis().max(1);
    println!("{:<28} {:6.2} s wall, {per_second:5} MiB/s", "TLS alone", wall.as_secs_f64());
    Ok(())
}
