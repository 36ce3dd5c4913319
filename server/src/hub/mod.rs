//! The pure state machine of the chat room.

pub mod timer_wheel;
