//! Users who say that they hold a file, and send wrong bytes of it, until the program is ended.
//!
//!   liars PORT FILE CHUNKS USER...
//!
//! FILE is registered under its name, in so many chunks. The users' password is in `PARLOUR_PASSWORD`.

use std::{
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    sync::Arc,
    thread,
};

use bench::{
    liar::{Liar, describe},
    wire::Route,
};
use protocol::{FileName, Layout, transport::client_config};

fn main() -> ExitCode {
    let Err(error) = run(&std::env::args().skip(1).collect::<Vec<_>>());
    let _ = writeln!(io::stderr(), "liars: {error}");
    ExitCode::FAILURE
}

fn run(arguments: &[String]) -> io::Result<std::convert::Infallible> {
    let [port, file, chunks, users @ ..] = arguments else {
        return Err(io::Error::other("give the server's port, a file, its number of chunks, and users"));
    };
    let port = port.parse().map_err(io::Error::other)?;
    let chunks = chunks.parse().map_err(io::Error::other)?;
    let name = Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name: FileName = name.parse().map_err(io::Error::other)?;
    let bytes = fs::read(file)?;
    let layout = Layout::new(bytes.len() as u64, chunks).map_err(io::Error::other)?;
    let manifest =
        describe(&bytes, layout).ok_or_else(|| io::Error::other("the file cannot be cut like that"))?;
    let manifest = Arc::new(manifest);
    let tls = Some(client_config().map_err(io::Error::other)?);
    let route = Route { address: SocketAddr::from(([127, 0, 0, 1], port)), tls };
    let password = std::env::var("PARLOUR_PASSWORD").map_err(io::Error::other)?;
    let mut threads = Vec::new();
    for user in users {
        let liar = Liar::start(&route, (user, &password), name.clone(), Arc::clone(&manifest))?;
        threads.push(thread::spawn(move || liar.run()));
    }
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a liar fell over"))??;
    }
    Err(io::Error::other("give users"))
}
