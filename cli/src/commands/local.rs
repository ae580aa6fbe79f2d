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
    let agent = client::agent(&args.socket).await?;
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

    fn member(&self, text: &str) -> Result<v1::LocalMemberRequest, CliError> {
        Ok(v1::LocalMemberRequest {
            namespace: self.namespace.clone(),
            member: target::parse_member(text)?,
        })
    }
}
