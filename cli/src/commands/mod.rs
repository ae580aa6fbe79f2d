//! One file per command. A command asks the coordinator (or the agent), and hands values to
//! `output`; it decides nothing that the coordinator could decide.

use crate::{
    args::{Cli, Command, Global, SetCommand},
    client::Coordinator,
    error::CliError,
    exit::Exit,
};

mod apply;
mod completions;
mod confirm;
mod debug;
mod delete;
mod describe;
mod dev;
mod drain;
mod events;
mod exec;
mod explain;
mod get;
mod host;
mod label;
mod local;
mod logs;
mod member;
mod patience;
mod plan;
mod rollout;
mod scale;
mod set;
mod snapshot;
mod status;
mod version;
mod volume;
mod wait;

/// What most commands work in: the coordinator and a namespace.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The coordinator.
    pub(crate) coordinator: Coordinator,
    /// The namespace.
    pub(crate) namespace: String,
}

impl Context {
    /// The namespace to ask for; all of them when empty, as the wire has it.
    pub(crate) fn scope(&self, all: bool) -> String {
        if all {
            String::new()
        } else {
            self.namespace.clone()
        }
    }
}

/// Runs the command.
pub(crate) async fn run(cli: Cli) -> Result<Exit, CliError> {
    // The one command whose success has two codes.
    if let Command::Plan(args) = cli.command {
        let context = connect(&cli.global).await?;
        return plan::run(&context, args).await;
    }
    if let Command::Exec(args) = cli.command {
        let context = connect(&cli.global).await?;
        return exec::run(&context, args).await;
    }
    others(cli).await.map(|()| Exit::Success)
}

async fn connect(global: &Global) -> Result<Context, CliError> {
    Ok(Context {
        coordinator: Coordinator::connect(&global.endpoint).await?,
        namespace: global.namespace.clone(),
    })
}

async fn others(cli: Cli) -> Result<(), CliError> {
    match cli.command {
        Command::Dev(args) => return dev::run(args).await,
        Command::Local(args) => return local::run(args, cli.global.namespace).await,
        Command::Completions(args) => return completions::run(&args),
        Command::Explain(args) => return explain::run(&cli.global, &args).await,
        Command::Debug(command) => return debug::run(&command),
        Command::Version => return version::run(),
        Command::Apply(_)
        | Command::Plan(_)
        | Command::Get(_)
        | Command::Describe(_)
        | Command::Status(_)
        | Command::Wait(_)
        | Command::Scale(_)
        | Command::Delete(_)
        | Command::Logs(_)
        | Command::Exec(_)
        | Command::Events(_)
        | Command::Rollout(_)
        | Command::Host(_)
        | Command::Set(_)
        | Command::Member(_)
        | Command::Volume(_)
        | Command::Snapshot(_) => {}
    }
    let context = connect(&cli.global).await?;
    match cli.command {
        Command::Apply(args) => apply::run(&context, args).await,
        Command::Get(args) => get::run(&context, args).await,
        Command::Describe(args) => describe::run(&context, args).await,
        Command::Status(args) => status::run(&context, args).await,
        Command::Wait(args) => wait::run(&context, args).await,
        Command::Scale(args) => scale::run(&context, args).await,
        Command::Delete(args) => delete::run(&context, args).await,
        Command::Logs(args) => logs::run(&context, args).await,
        Command::Events(args) => events::run(&context, args).await,
        Command::Rollout(command) => rollout::run(&context, command).await,
        Command::Host(command) => host::run(&context, command).await,
        Command::Member(command) => member::run(&context, command).await,
        Command::Set(SetCommand::Refound(args)) => set::refound(&context, args).await,
        Command::Volume(command) => volume::run(&context, command).await,
        Command::Snapshot(command) => snapshot::run(&context, command).await,
        Command::Dev(_)
        | Command::Local(_)
        | Command::Plan(_)
        | Command::Exec(_)
        | Command::Explain(_)
        | Command::Completions(_)
        | Command::Debug(_)
        | Command::Version => Ok(()),
    }
}
