//! Whole clients' worth of `Files`, joined by links in memory, over a server and disks that are plain maps. Time is
//! a number; every history is told by its seed.

mod disk;
mod downloads;
mod hostile;
mod register;
mod restarts;
mod rig;
mod searches;
mod server;
mod swarms;
mod uploads;
