//! A user at a place of his own: a key, what he remembers of others, and a directory of files, which outlive his
//! client.
//!
//! Owns where that lies and the client that runs there. Must not know what a test does with it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::client::{Client, ClientSetup};
use super::home::Home;
use super::program::{client_command, client_command_within};
use super::server::Server;

/// A user who is logged in, with the JSON face.
pub(crate) struct Fellow {
    // Before the place that it runs in.
    client: Client,
    user: String,
    namespace: Option<String>,
    home: Home,
}

impl Fellow {
    /// One who has never been there before.
    #[track_caller]
    pub(crate) fn login(server: &Server, user: &str) -> Self {
        Self::with(server, user, &[])
    }

    /// The same with these options.
    #[track_caller]
    pub(crate) fn with(server: &Server, user: &str, args: &[&str]) -> Self {
        Self::at(Home::new(), server, user, args)
    }

    /// A user at a place where somebody may have been before.
    #[track_caller]
    pub(crate) fn at(home: Home, server: &Server, user: &str, args: &[&str]) -> Self {
        Self::start(home, None, (server, server.address()), user, args)
    }

    /// One who takes somebody else's address for the server's.
    #[track_caller]
    pub(crate) fn via(address: SocketAddr, server: &Server, user: &str, args: &[&str]) -> Self {
        Self::start(Home::new(), None, (server, address), user, args)
    }

    /// One whose computer has only the networks of that namespace, and who reaches the server at that one of its
    /// addresses.
    #[track_caller]
    pub(crate) fn within(namespace: &str, server: (&Server, usize), user: &str, args: &[&str]) -> Self {
        let (server, number) = server;
        let reached = (server, server.addresses()[number]);
        Self::start(Home::new(), Some(namespace.to_owned()), reached, user, args)
    }

    /// Ends the client without a chance to say anything, and starts it again at the same place.
    #[track_caller]
    pub(crate) fn crash_and_return(self, server: &Server, args: &[&str]) -> Self {
        self.client.signal("KILL");
        let Self { client, user, namespace, home } = self;
        drop(client);
        Self::start(home, namespace, (server, server.address()), &user, args)
    }

    /// Logs out and leaves the place to who comes next.
    #[track_caller]
    pub(crate) fn logout(mut self) -> Home {
        self.client.ok("logout");
        self.client.expect_end("logout", 0);
        self.home
    }

    /// The place of one whose client has ended.
    pub(crate) fn into_home(self) -> Home {
        self.home
    }

    /// The directory of files.
    pub(crate) fn dir(&self) -> PathBuf {
        files_of(&self.home)
    }

    /// Where a file of that name lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Puts a file there.
    #[track_caller]
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("a file can be written");
    }

    /// Puts a file of that size there which is empty but for these few bytes at these places.
    #[track_caller]
    pub(crate) fn put_sparse(&self, name: &str, size: u64, marks: &[(u64, &[u8])]) {
        let file = File::create_new(self.path(name)).expect("a file can be made");
        file.set_len(size).expect("a file may have holes");
        for (offset, bytes) in marks {
            file.write_all_at(bytes, *offset).expect("a file can be written");
        }
    }

    /// What a file holds.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name} cannot be read: {error}"))
    }

    /// What lies in the directory and is not hidden, by name.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir()).expect("a directory of files");
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    #[track_caller]
    fn start(
        home: Home,
        namespace: Option<String>,
        (server, address): (&Server, SocketAddr),
        user: &str,
        args: &[&str],
    ) -> Self {
        let dir = files_of(&home);
        fs::create_dir_all(&dir).expect("a directory of files");
        let own = ["--json", "--user", user, "--dir", dir.to_str().expect("a path that is text")];
        let args = [&own[..], server.client_args(), args].concat();
        let command = match &namespace {
            Some(namespace) => client_command_within(namespace, home.path()),
            None => client_command(home.path()),
        };
        let setup = ClientSetup { args: &args, password: Some(server.password_of(user)), input: None };
        let mut client = setup.start_with(command, address);
        client.expect("login");
        Self { client, user: user.to_owned(), namespace, home }
    }
}

impl Deref for Fellow {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Fellow {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

fn files_of(home: &Home) -> PathBuf {
    Path::join(home.path(), "files")
}
