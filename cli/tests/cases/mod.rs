mod asking;
mod changes;
mod local;
mod reads;
mod usage;
mod waits;
