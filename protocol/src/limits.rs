//! The sizes that both ends of a connection enforce, each with its reason.

use core::time::Duration;

/// The longest body of a frame before log-in, in bytes: the SCRAM messages need under 300, and a stranger
/// must not make the server hold more than this.
pub const FRAME_LEN_MAX_BEFORE_LOGIN: usize = 1024;

/// The longest body of a frame after log-in, in bytes: four times the longest text, so that lists travel in
/// few frames and a receive buffer stays small.
pub const FRAME_LEN_MAX: usize = 64 * 1024;

/// The longest text of a message, in bytes of UTF-8: several screens full, and still one frame.
pub const TEXT_LEN_MAX: usize = 16 * 1024;

/// How many bytes of names the sender of a list puts into one frame before it starts the next: leaves room
/// for the line's other fields within [`FRAME_LEN_MAX`].
pub const LIST_LEN_MAX: usize = 32 * 1024;

/// How long a ticket is good: time to dial from the far side of the world, and too short to be worth stealing.
pub const TICKET_LIFE: Duration = Duration::from_secs(30);

/// How many requests a client keeps unanswered. The server remembers far more message ids than that per
/// sender, so a resend is always recognised.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 64;

/// The longest body of a frame between two clients that have met, in bytes: a block of [`BLOCK_LEN_MAX`] and its
/// line, with room to grow.
pub const PEER_FRAME_LEN_MAX: usize = 256 * 1024;

/// The longest body of a frame between two clients before a ticket was taken, and the most bytes that a stranger
/// may send at all: `meet` needs 60.
pub const PEER_FRAME_LEN_MAX_BEFORE_MEETING: usize = 1024;

/// The longest part of a chunk, or of a manifest, in one frame: large enough that its line costs nothing, small
/// enough that a private message behind it does not wait.
pub const BLOCK_LEN_MAX: usize = 128 * 1024;

/// The most bytes in one frame of a relay: as [`TEXT_LEN_MAX`], so that chat of the same connection never waits
/// for more than that.
pub const CARRY_LEN_MAX: usize = 16 * 1024;

/// The most addresses at which a client is looked for.
pub const ADDRESSES_MAX: usize = 4;

/// The lowest port at which a client is dialled: below it are services that somebody may want to have dialled
/// by others.
pub const PEER_PORT_MIN: u16 = 1024;
