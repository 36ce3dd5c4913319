//! Every limit of the server, each with its reason.

use core::time::Duration;

use protocol::limits::{REQUESTS_IN_FLIGHT_MAX, TEXT_LEN_MAX};

/// What the hub enforces. The defaults suit a public server on a small machine.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long an account stays locked after three wrong passwords in a row; `None`: never locked.
    pub lock_out: Option<Duration>,
    /// After how long without a command a user is logged out; `None`: never.
    pub inactivity: Option<Duration>,
    /// From the first byte to the log-in: a person's client has the password ready before it connects.
    pub login_deadline: Duration,
    /// Connections of one address that are not logged in yet; loopback is exempt. A household behind one
    /// address logs in one by one, a flood does not.
    pub logging_in_per_address_max: usize,
    /// Proofs of one address that wait for the keys of their accounts; loopback is exempt. More tries at once
    /// than an account has before it is locked are no person's.
    pub proofs_per_address_max: usize,
    /// Wrong passwords that are taken from one IPv4 address or IPv6 /64 in one go; loopback is exempt. Locks
    /// stop who tries many passwords on one account, this stops who tries a few on many. Enough for a
    /// household that mistypes.
    pub wrong_per_address_max: u32,
    /// In how long so many are taken again: one by one, evenly. At 14,400 a day no good password is found.
    pub wrong_per_address_span: Duration,
    /// Addresses whose wrong passwords are counted: some 50 bytes each. When there are more, the oldest are
    /// forgotten; twice as many are held in between.
    pub guessing_addresses_max: usize,
    /// Silence after which a connection is asked whether it lives: shorter than the common 60 s of NATs.
    pub keep_alive: Duration,
    /// How long the answer to that may take. With `keep_alive`: a dead one is found within 60 s.
    pub keep_alive_answer: Duration,
    /// How long a first connection may take to show that it lives when its user logs in again: a slow link's
    /// round trip, and short enough to wait for.
    pub probe_answer: Duration,
    /// Waiting bytes above which a reader is too slow, if it lasts.
    pub outbox_len_soft: usize,
    /// How long it may last.
    pub outbox_soft_patience: Duration,
    /// Waiting bytes at which a reader is dropped at once.
    pub outbox_len_hard: usize,
    /// Waiting bytes of all together above which the slowest reader is dropped, so that many slow ones cannot
    /// take the machine's memory.
    pub outboxes_len_max: usize,
    /// How long a closing connection may take to fetch its last frames.
    pub linger: Duration,
    /// Commands that a client may send in one go.
    pub commands_burst: u32,
    /// Commands a second after that. Who is faster is read more slowly, not refused.
    pub commands_per_second: u32,
    /// Messages that wait for one user.
    pub mailbox_messages_max: usize,
    /// Bytes of text that wait for one user.
    pub mailbox_len_max: usize,
    /// Bytes of text on their way to one client without its acknowledgement: enough for a full pipe, and
    /// below `outbox_len_soft`, so that a long mailbox does not look like a slow reader.
    pub in_flight_len_max: usize,
    /// Messages on their way to one client without its acknowledgement.
    pub in_flight_messages_max: usize,
    /// How long a sender waits for the acknowledgement of a recipient who is online but does not answer;
    /// then the message is written down and the sender is told `stored`.
    pub delivery_patience: Duration,
    /// Messages of one sender that are neither delivered nor stored yet.
    pub unconfirmed_per_sender_max: usize,
    /// Message ids remembered per sender to recognise a resend: four times what a client may have in flight.
    pub known_ids_per_sender_max: usize,
    /// How long they are remembered over restarts of the server: a client that slept over night sends again what
    /// was not confirmed to it.
    pub known_ids_life: Duration,
    /// Bytes of text that are on their way to the store. When the disk is slower than this for long, messages to
    /// those who are away are refused, so that they do not fill the memory instead.
    pub unwritten_len_max: usize,
    /// How often is written down that the server is alive, while somebody is online: so much may be wrong about
    /// when they were last seen if it is killed.
    pub alive_pause: Duration,
    /// Names on one user's block list.
    pub blocked_max: usize,
    /// Tickets of one user that are out: a file's holders and a few private talks at once.
    pub tickets_max: usize,
    /// Relays that stand; 0: none. Each may hold twice `relay_credit` in memory, 32 MiB in all.
    pub relays_max: usize,
    /// Relays in which one user takes part: as many as there are upload slots in a client.
    pub relays_per_user_max: usize,
    /// Bytes that one end of a relay may send ahead of what has left to the other: enough to keep a link of a quarter
    /// of a second at a MiB a second full.
    pub relay_credit: usize,
    /// Bytes a second in one direction of a relay: a relay is a last resort, and must not be worth more than a link.
    pub relay_rate: u64,
    /// Bytes a second of all relays together, so that they leave most of a small machine's line to chat.
    pub relays_rate: u64,
    /// How long a relay stands without a byte: clients that still use it ping each other more often.
    pub relay_idle: Duration,
    /// Names of files that are registered: some 10 MB with their owners and holders, and a list of 7 MB.
    pub files_max: usize,
    /// Names of files that one user has registered.
    pub files_per_user_max: usize,
    /// Files of which one user says that he holds chunks.
    pub holdings_per_user_max: usize,
    /// Bytes of what one user says he holds: a whole file takes some 130, the worst set of chunks 8 KiB more.
    pub holdings_len_per_user_max: usize,
    /// Bytes of what all users say they hold.
    pub holdings_len_max: usize,
    /// Holders that are named for one file: more than a client can use, and 2 MiB at the worst.
    pub search_holders_max: usize,
    /// Lists of files and holders that wait for one client to read those before.
    pub lists_waiting_max: usize,
    /// Unknown names whose wrong passwords are counted as if they had an account: some 100 bytes each, in memory
    /// and in the store. When
    /// more are tried, the oldest is forgotten; at the pace of an address that takes more than a day.
    pub ghosts_max: usize,
    /// Timers that fire in one turn: after a suspend all are due at once, and the sockets must not wait. Each
    /// may end a connection, which costs some 5 µs.
    pub timers_per_turn_max: usize,
    /// Work done in one go for one client who has sent much: a frame is 1, more when it concerns many (1 is
    /// some 5 µs). What is left of his waits its turn, and he is not read from until then.
    pub work_per_slice_max: u64,
    /// Work of one turn for those who have sent little, and again as much for those who wait their turn: so the
    /// loop is never long away from its sockets, whoever sends what.
    pub work_per_turn_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lock_out: Some(Duration::from_secs(60)),
            inactivity: Some(Duration::from_secs(300)),
            login_deadline: Duration::from_secs(10),
            logging_in_per_address_max: 8,
            proofs_per_address_max: 3,
            wrong_per_address_max: 10,
            wrong_per_address_span: Duration::from_secs(60),
            guessing_addresses_max: 16_384,
            keep_alive: Duration::from_secs(45),
            keep_alive_answer: Duration::from_secs(15),
            probe_answer: Duration::from_secs(3),
            outbox_len_soft: 256 * 1024,
            outbox_soft_patience: Duration::from_secs(10),
            outbox_len_hard: 4 * 1024 * 1024,
            outboxes_len_max: 256 * 1024 * 1024,
            linger: Duration::from_secs(2),
            commands_burst: 2_000,
            commands_per_second: 1_000,
            mailbox_messages_max: 1_000,
            mailbox_len_max: 8 * 1024 * 1024,
            in_flight_len_max: 8 * TEXT_LEN_MAX,
            in_flight_messages_max: 128,
            delivery_patience: Duration::from_secs(10),
            unconfirmed_per_sender_max: 1_024,
            known_ids_per_sender_max: 256,
            known_ids_life: Duration::from_secs(24 * 60 * 60),
            unwritten_len_max: 64 * 1024 * 1024,
            alive_pause: Duration::from_secs(60),
            blocked_max: 1_000,
            tickets_max: 128,
            relays_max: 64,
            relays_per_user_max: 8,
            relay_credit: 256 * 1024,
            relay_rate: 1024 * 1024,
            relays_rate: 8 * 1024 * 1024,
            relay_idle: Duration::from_secs(120),
            files_max: 20_000,
            files_per_user_max: 1_000,
            holdings_per_user_max: 4_000,
            holdings_len_per_user_max: 2 * 1024 * 1024,
            holdings_len_max: 64 * 1024 * 1024,
            search_holders_max: 256,
            lists_waiting_max: REQUESTS_IN_FLIGHT_MAX,
            ghosts_max: 16_384,
            timers_per_turn_max: 256,
            work_per_slice_max: 16,
            work_per_turn_max: 128,
        }
    }
}
