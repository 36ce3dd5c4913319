//! The swarm's rules one by one, and whole downloads in a made-up world.

mod histories;
mod rules;
mod world;
