//! `berth-agent`: the agent, and, re-executed, the keeper of one member.

fn main() {
    berth_agent::keeper::main_if_keeper();
}
