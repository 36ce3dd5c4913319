//! A wire between a client and a server that can be cut in one direction, and neither side notices.
//!
//! Owns its sockets. Must not know what the bytes mean.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// It stays until the tests end.
pub(crate) struct Wire {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
}

impl Wire {
    /// One that leads to this server.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().unwrap();
        let is_cut = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&is_cut);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(server).expect("the server accepts");
                let (client_end, server_end) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let cut = Arc::clone(&cut);
                thread::spawn(move || carry(client, server, &cut));
                thread::spawn(move || carry(server_end, client_end, &AtomicBool::new(false)));
            }
        });
        Self { address, is_cut }
    }

    /// Where clients find it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing of what a client says reaches the server, except that it has hung up.
    pub(crate) fn cut_what_the_client_says(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if !is_cut.load(Ordering::SeqCst) && to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    // It may be closed already.
    drop(to.shutdown(Shutdown::Both));
}
