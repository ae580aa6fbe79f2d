//! `berth local`: asks the agent of this host. Works without a coordinator.

use berth_proto::v1::{self, local_service_client::LocalServiceClient};
use tonic::transport::Channel;

use super::logs;
use crate::{
    args::{Format, FormatArgs, LocalArgs, LocalCommand},
    client,
    error::CliError,
    output::{self, age, describe, format, status, view::MemberView},
    refusal, target,
};

/// Asks the agent.
pub(crate) async fn run(args: LocalArgs, namespace: String) -> Result<(), CliError> {
    let agent = client::agent(&args.agent.socket).await?;
    let local = Local { agent, namespace };
    match args.command {
        LocalCommand::List(args) => local.list(args).await,
        LocalCommand::Status(args) => local.status(&args.member).await,
        LocalCommand::Logs(args) => {
            let request = logs::request(&local.namespace, &args.member, args.what)?;
            let doing = format!("read the log of {}", request.member);
            let mut agent = local.agent;
            logs::copy(&doing, agent.logs(request).await).await
        }
        LocalCommand::Stop(args) => local.change(Verb::Stop, &args.member).await,
        LocalCommand::Start(args) => local.change(Verb::Start, &args.member).await,
        LocalCommand::Restart(args) => local.change(Verb::Restart, &args.member).await,
        LocalCommand::Shutdown => local.shutdown().await,
        LocalCommand::Resume => local.resume().await,
    }
}

/// What an agent knows is on its host only.
fn failure(doing: &str, status: &tonic::Status) -> CliError {
    let error = refusal::from_status(doing, status);
    if status.code() == tonic::Code::NotFound {
        error.hinting("`berth local list` lists the members of this host")
    } else {
        error
    }
}

#[derive(Debug, Clone, Copy)]
enum Verb {
    Stop,
    Start,
    Restart,
}

impl Verb {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Stop => ("stop", "stopped; it stays so until `berth local start`"),
            Self::Start => ("start", "is started"),
            Self::Restart => ("restart", "is restarted"),
        }
    }
}

struct Local {
    agent: LocalServiceClient<Channel>,
    namespace: String,
}

impl Local {
    async fn list(mut self, args: FormatArgs) -> Result<(), CliError> {
        let answer = self.agent.list(v1::LocalListRequest {}).await;
        let response = answer
            .map_err(|status| refusal::from_status("list the members of this host", &status))?
            .into_inner();
        if matches!(args.output, Format::Json | Format::Yaml) {
            let views: Vec<MemberView> = response.members.into_iter().map(Into::into).collect();
            let text = format::structured(args.output, &views)?;
            return output::data(&text.unwrap_or_default());
        }
        let contact = if response.coordinator_connected {
            "in contact with the coordinator"
        } else {
            "out of contact with the coordinator"
        };
        output::note(&format!("host {}, {contact}", response.host));
        if response.members.is_empty() {
            output::note("no members on this host");
            return Ok(());
        }
        let wide = args.output == Format::Wide;
        output::data(&status::members(&response.members, wide, true, age::now()))
    }

    async fn status(mut self, member: &str) -> Result<(), CliError> {
        let request = v1::LocalStatusRequest {
            member: Some(self.member(member)?),
        };
        let answer = self.agent.status(request).await;
        let response = answer
            .map_err(|status| failure(&format!("show {member}"), &status))?
            .into_inner();
        let member = response.member.unwrap_or_default();
        let mut text = describe::member(&member, age::now());
        if response.held_by_operator {
            text.push_str("It was stopped here, and stays so until `berth local start`.\n");
        }
        output::data(&text)
    }

    async fn change(mut self, verb: Verb, member: &str) -> Result<(), CliError> {
        let request = self.member(member)?;
        let name = request.member.clone();
        let answer = match verb {
            Verb::Stop => self.agent.stop(request).await,
            Verb::Start => self.agent.start(request).await,
            Verb::Restart => self.agent.restart(request).await,
        };
        let (doing, done) = verb.words();
        answer.map_err(|status| failure(&format!("{doing} {name}"), &status))?;
        output::data(&format!("{name} {done}"))
    }

    /// Follows the shutdown to its end: the unit that runs this is what the host waits for.
    async fn shutdown(mut self) -> Result<(), CliError> {
        let doing = "stop the members of this host";
        let failed = |status: tonic::Status| refusal::from_status(doing, &status);
        let answer = self.agent.shutdown(v1::LocalShutdownRequest {}).await;
        let mut progress = answer.map_err(failed)?.into_inner();
        while let Some(message) = progress.message().await.map_err(failed)? {
            for member in &message.stopped {
                output::data(&format!("{member} stopped"))?;
            }
            if message.left.is_empty() {
                return output::data("no member of this host runs");
            }
            output::note(&format!("waiting for {}", message.left.join(", ")));
        }
        let status = tonic::Status::unavailable("the agent ended; run it again");
        Err(failed(status))
    }

    async fn resume(mut self) -> Result<(), CliError> {
        let answer = self.agent.resume(v1::LocalResumeRequest {}).await;
        let doing = "start the members of this host";
        answer.map_err(|status| refusal::from_status(doing, &status))?;
        output::data("the members of this host are started")
    }

    fn member(&self, text: &str) -> Result<v1::LocalMemberRequest, CliError> {
        Ok(v1::LocalMemberRequest {
            namespace: self.namespace.clone(),
            member: target::parse_member(text)?,
        })
    }
}
