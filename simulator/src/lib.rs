//! Seeded histories of hub and client core.
