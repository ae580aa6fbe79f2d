//! State to orders: what each agent is to have, and the hash over it.
