//! Every limit of the server, each with its reason.

use core::time::Duration;

use protocol::limits::TEXT_LEN_MAX;

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
    /// Unknown names whose wrong passwords are counted as if they had an account: some 100 bytes each, in memory
    /// and in the store. When
    /// more are tried, the oldest is forgotten; at the pace of an address that takes more than a day.
    pub ghosts_max: usize,
    /// Timers that fire in one turn: after a suspend all are due at once, and the sockets must not wait.
    pub timers_per_turn_max: usize,
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
            ghosts_max: 16_384,
            timers_per_turn_max: 4_096,
        }
    }
}
