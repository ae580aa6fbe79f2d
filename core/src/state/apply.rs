//! What a step does to the state: the one place where a plan takes effect.
