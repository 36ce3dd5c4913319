//! The pure state machine of the chat room.
