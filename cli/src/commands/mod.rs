//! One file per command. A command asks the coordinator (or the agent), and hands values to
//! `output`; it decides nothing that the coordinator could decide.

use crate::{
    args::{AdminCommand, AuditCommand, Cli, Command, Global, HostCommand, SetCommand},
    client::Coordinator,
    contexts,
    error::CliError,
    exit::Exit,
};

mod access;
mod admin;
mod apply;
mod audit;
mod completions;
mod config;
mod confirm;
mod debug;
mod delete;
mod describe;
mod dev;
mod dns;
mod drain;
mod events;
mod exec;
mod explain;
mod get;
mod host;
mod label;
mod local;
mod logs;
mod lost;
mod man;
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
    let target = contexts::target(global)?;
    Ok(Context {
        coordinator: Coordinator::connect(&target.remote).await?,
        namespace: target.namespace,
    })
}

async fn others(cli: Cli) -> Result<(), CliError> {
    match cli.command {
        Command::Dev(args) => return dev::run(args).await,
        Command::Local(args) => return local::run(args, cli.global.namespace()).await,
        Command::Completions(args) => return completions::run(&args),
        Command::Man(args) => return man::run(&args),
        Command::Host(HostCommand::Dns(args)) => return dns::run(&args).await,
        Command::Explain(args) => return explain::run(&cli.global, &args).await,
        Command::Admin(AdminCommand::CheckBackup(args)) => return admin::check(&args),
        Command::Admin(AdminCommand::Audit(AuditCommand::Verify(args))) => {
            return audit::verify(&args);
        }
        Command::Debug(command) => return debug::run(&command),
        Command::Config(command) => return config::run(command, cli.global.context.as_deref()),
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
        | Command::Admin(_)
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
        Command::Admin(AdminCommand::Token(command)) => access::token(&context, command).await,
        Command::Admin(AdminCommand::User(command)) => {
            access::user(&context, &cli.global, command).await
        }
        Command::Admin(command) => admin::run(&context, command).await,
        Command::Snapshot(command) => snapshot::run(&context, command).await,
        Command::Dev(_)
        | Command::Local(_)
        | Command::Plan(_)
        | Command::Exec(_)
        | Command::Explain(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Config(_)
        | Command::Debug(_)
        | Command::Version => Ok(()),
    }
}
