//! `berth exec`: clap types only.

use clap::Args;

/// `berth exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The member, such as etcd-0.
    pub(crate) member: String,
    /// The process whose user, environment, directory and limits the program gets; the first one
    /// when left out.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) process: Option<String>,
    /// Pass standard input on.
    #[arg(short = 'i', long)]
    pub(crate) stdin: bool,
    /// Give it a terminal.
    #[arg(short = 't', long)]
    pub(crate) tty: bool,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}
