use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use rustls::{ClientConnection, ServerConnection};

use super::*;

/// One end of a pipe that takes and gives a few bytes at a time.
struct Pipe {
    from: Rc<RefCell<VecDeque<u8>>>,
    to: Rc<RefCell<VecDeque<u8>>>,
    /// Bytes that may wait in the pipe.
    room: usize,
    step: usize,
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut from = self.from.borrow_mut();
        let len = from.len().min(into.len()).min(self.step);
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        into.iter_mut().zip(from.drain(..len)).for_each(|(to, byte)| *to = byte);
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut to = self.to.borrow_mut();
        let len = bytes.len().min(self.step).min(self.room.saturating_sub(to.len()));
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        to.extend(bytes.get(..len).unwrap_or_default());
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pair(step: usize, room: usize) -> (Transport<Pipe>, Transport<Pipe>, Fingerprint) {
    let (certificate, key) = Identity::make().unwrap();
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    let fingerprint = identity.fingerprint();
    let (up, down) = (Rc::default(), Rc::default());
    let pipe = |from: &Rc<_>, to: &Rc<_>| Pipe { from: Rc::clone(from), to: Rc::clone(to), room, step };
    let client = ClientConnection::new(client_config().unwrap(), server_name("localhost")).unwrap();
    let server = ServerConnection::new(server_config(identity).unwrap()).unwrap();
    (Transport::tls(pipe(&down, &up), client), Transport::tls(pipe(&up, &down), server), fingerprint)
}

/// Both ends run until neither goes on; what each has received is appended.
fn run(ends: [&mut Transport<Pipe>; 2], received: &mut [Vec<u8>; 2]) {
    let mut buffer = [0; 100];
    let [a, b] = ends;
    for _ in 0..100_000 {
        let before = received.each_ref().map(Vec::len);
        for (end, received) in [&mut *a, &mut *b].into_iter().zip(received.iter_mut()) {
            let (len, _) = end.read(&mut buffer);
            received.extend_from_slice(&buffer[..len]);
            end.flush();
        }
        let idle = [a.stream(), b.stream()].map(|pipe| pipe.from.borrow().is_empty());
        if idle == [true; 2]
            && before == received.each_ref().map(Vec::len)
            && !a.wants_write()
            && !b.wants_write()
        {
            return;
        }
    }
    panic!("it never settles");
}

#[test]
fn both_ends_see_the_same_binding_and_the_client_the_servers_key() {
    for step in [1, 7, 1_000_000] {
        let (mut client, mut server, fingerprint) = pair(step, usize::MAX);
        run([&mut client, &mut server], &mut Default::default());
        let (at_client, at_server) = (client.secured().unwrap(), server.secured().unwrap());
        assert_eq!(at_client.peer, Some(fingerprint));
        assert_eq!(at_server.peer, None);
        assert_eq!(at_client.binding, at_server.binding);
        assert_eq!(client.secured(), None, "told once");
    }
}

#[test]
fn everything_arrives_through_a_narrow_pipe() {
    let (mut client, mut server, _) = pair(50, 300);
    let sent: Vec<u8> = (0..200_000u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut received = <[Vec<u8>; 2]>::default();
    let mut left = sent.as_slice();
    run([&mut client, &mut server], &mut received);
    while !left.is_empty() {
        let (len, _) = client.write(left);
        left = &left[len..];
        run([&mut client, &mut server], &mut received);
    }
    assert_eq!(received[1], sent);
}

#[test]
fn a_stream_that_takes_nothing_bounds_what_waits() {
    let (mut client, mut server, _) = pair(1_000_000, 20_000);
    run([&mut client, &mut server], &mut Default::default());
    let mut taken = 0;
    loop {
        let (len, progress) = client.write(&[0; 10_000]);
        taken += len;
        assert!(taken <= BUFFER_LEN_MAX + 20_000);
        if len == 0 {
            assert_eq!(progress, Progress::Blocked);
            return;
        }
    }
}

#[test]
fn the_end_is_told_and_garbage_is_a_fault() {
    let (mut client, mut server, _) = pair(1_000_000, usize::MAX);
    let mut received = Default::default();
    run([&mut client, &mut server], &mut received);
    client.write(b"last words");
    client.end_writing();
    let mut buffer = [0; 100];
    assert_eq!(server.read(&mut buffer), (10, Progress::Ended));

    let (_, mut server, _) = pair(1_000_000, usize::MAX);
    server.stream().from.borrow_mut().extend(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(server.read(&mut buffer), (0, Progress::Ended));
    assert!(server.fault().is_some());
}
