//! Somebody between a client and a server: he ends the client's TLS with a key of his own, opens another session to
//! the server, reads every frame and does with it what he likes.
//!
//! Owns his sockets and what he overheard. Must not know what is expected of client or server.

use std::net::{self, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::{Events, Interest, Poll, Token, net::TcpStream};
use protocol::transport::{Identity, Progress, Transport, client_config, server_config, server_name};
use protocol::{Frame, FrameDecoder, tags};
use rustls::{ClientConnection, ServerConfig, ServerConnection};

use crate::harness::PATIENCE;

/// Larger than any frame.
const FRAME_LEN_MAX: usize = 1 << 20;

/// What becomes of a frame on its way; `None` swallows it.
pub(crate) type Tamper = fn(tags::Sender, String) -> Option<String>;

/// What he does with frames.
#[derive(Clone, Copy)]
pub(crate) enum Trick {
    /// Passes them on, as this says, to and from this server.
    Relay(SocketAddr, Tamper),
    /// The same, to and from a server without TLS.
    Strip(SocketAddr, Tamper),
    /// Answers the client by himself; what he says first answers an empty text.
    Impostor(fn(&str) -> Vec<String>),
}

/// Who ends TLS with which key; `None` without TLS on both sides.
pub(crate) type Disguise = Option<Arc<ServerConfig>>;

/// What he overheard from the first byte to the last of one client's connection, before he changed anything.
pub(crate) type Conversation = Vec<(tags::Sender, String)>;

/// He stays until the tests end.
pub(crate) struct Middleman {
    address: SocketAddr,
    conversations: Receiver<Conversation>,
}

/// A key and a certificate that nobody has seen before, and its fingerprint.
pub(crate) fn fresh_disguise() -> (Disguise, String) {
    let (certificate, key) = Identity::make().unwrap();
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    let fingerprint = identity.fingerprint().to_string();
    (Some(server_config(identity).unwrap()), fingerprint)
}

impl Middleman {
    /// Takes a place and waits for clients there.
    pub(crate) fn start(at: SocketAddr, disguise: Disguise, trick: Trick) -> Self {
        let listener = net::TcpListener::bind(at).expect("his place is free");
        let address = listener.local_addr().unwrap();
        let (sender, conversations) = channel();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (disguise, sender) = (disguise.clone(), sender.clone());
                thread::spawn(move || attend(client.unwrap(), disguise, trick, &sender));
            }
        });
        Self { address, conversations }
    }

    /// Where clients find him.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next conversation that has ended.
    #[track_caller]
    pub(crate) fn overheard(&self) -> Conversation {
        self.conversations.recv_timeout(PATIENCE).expect("a conversation ends")
    }
}

/// One side of him.
struct Side {
    transport: Transport<TcpStream>,
    decoder: FrameDecoder,
    outgoing: Vec<u8>,
    over: bool,
}

fn attend(client: net::TcpStream, disguise: Disguise, trick: Trick, sender: &Sender<Conversation>) {
    let connect = |server, tls: bool| {
        let name = server_name("localhost");
        let session = tls.then(|| ClientConnection::new(client_config().unwrap(), name).unwrap().into());
        Side::new(net::TcpStream::connect(server).expect("the server accepts"), session)
    };
    let upstream = match trick {
        Trick::Relay(server, _) => Some(connect(server, disguise.is_some())),
        Trick::Strip(server, _) => Some(connect(server, false)),
        Trick::Impostor(_) => None,
    };
    let session = disguise.map(|config| ServerConnection::new(config).unwrap().into());
    let conversation = converse(Side::new(client, session), upstream, trick);
    // Nobody listens any more when the test is over.
    drop(sender.send(conversation));
}

fn converse(mut client: Side, mut server: Option<Side>, trick: Trick) -> Conversation {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(8);
    for (side, token) in [Some(&mut client), server.as_mut()].into_iter().flatten().zip(0..) {
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(side.transport.stream_mut(), Token(token), interest).unwrap();
    }
    if let Trick::Impostor(answer) = trick {
        for body in &answer("") {
            client.send(body);
        }
        // Before the handshake, so that TLS may send it together with that.
        client.flush();
    }
    let mut conversation = Vec::new();
    while !client.over {
        for body in client.read() {
            match trick {
                Trick::Relay(_, tamper) | Trick::Strip(_, tamper) => {
                    if let (Some(body), Some(server)) =
                        (tamper(tags::Sender::Client, body.clone()), &mut server)
                    {
                        server.send(&body);
                    }
                }
                Trick::Impostor(answer) => answer(&body).iter().for_each(|body| client.send(body)),
            }
            conversation.push((tags::Sender::Client, body));
        }
        for body in server.as_mut().map(Side::read).unwrap_or_default() {
            if let Trick::Relay(_, tamper) | Trick::Strip(_, tamper) = trick
                && let Some(body) = tamper(tags::Sender::Server, body.clone())
            {
                client.send(&body);
            }
            conversation.push((tags::Sender::Server, body));
        }
        server.iter_mut().for_each(Side::flush);
        client.flush();
        if server.as_ref().is_some_and(|server| server.over) {
            client.end();
        }
        if !client.over {
            poll.poll(&mut events, Some(PATIENCE)).unwrap();
            client.over |= events.is_empty();
        }
    }
    conversation
}

impl Side {
    fn new(stream: net::TcpStream, session: Option<rustls::Connection>) -> Self {
        stream.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(stream);
        let transport = match session {
            Some(session) => Transport::tls(stream, session),
            None => Transport::Plain(stream),
        };
        Self { transport, decoder: FrameDecoder::new(FRAME_LEN_MAX), outgoing: Vec::new(), over: false }
    }

    /// All that has come, frame by frame.
    fn read(&mut self) -> Vec<String> {
        let mut buffer = [0; 4096];
        while !self.over {
            let (len, progress) = self.transport.read(&mut buffer);
            self.decoder.push(&buffer[..len]);
            match progress {
                Progress::More => {}
                Progress::Blocked => break,
                Progress::Ended => self.over = true,
            }
        }
        let mut bodies = Vec::new();
        while let Ok(Some(body)) = self.decoder.next_body() {
            bodies.push(String::from_utf8(body.to_vec()).expect("frames without files are text"));
        }
        bodies
    }

    fn send(&mut self, body: &str) {
        self.outgoing.extend_from_slice(Frame::from_body(body.as_bytes()).as_bytes());
    }

    fn flush(&mut self) {
        self.transport.flush();
        while !self.outgoing.is_empty() {
            let (len, progress) = self.transport.write(&self.outgoing);
            self.outgoing.drain(..len);
            if progress != Progress::More {
                return;
            }
        }
    }

    fn end(&mut self) {
        self.transport.end_writing();
        // It may be gone already.
        drop(self.transport.stream().shutdown(net::Shutdown::Write));
    }
}
