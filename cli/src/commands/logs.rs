//! `berth logs`: what a member's process wrote, byte by byte.

use berth_proto::v1;
use tonic::{Response, Status, Streaming};

use super::Context;
use crate::{
    args::{LogsArgs, WhichLogs},
    error::CliError,
    output, refusal, target,
};

/// Shows a log.
pub(crate) async fn run(context: &Context, args: LogsArgs) -> Result<(), CliError> {
    let request = request(&context.namespace, &args.member, args.what)?;
    let doing = format!("read the log of {}", request.member);
    let answer = context.coordinator.members().logs(request).await;
    copy(&doing, answer).await
}

/// The request for a part of a log.
pub(crate) fn request(
    namespace: &str,
    member: &str,
    what: WhichLogs,
) -> Result<v1::LogsRequest, CliError> {
    Ok(v1::LogsRequest {
        namespace: namespace.to_owned(),
        member: target::parse_member(member)?,
        process: what.process.unwrap_or_default(),
        follow: what.follow,
        previous: what.previous,
        tail_lines: what.tail,
    })
}

/// Copies the answer to standard output until it ends.
pub(crate) async fn copy(
    doing: &str,
    answer: Result<Response<Streaming<v1::LogChunk>>, Status>,
) -> Result<(), CliError> {
    let wrap = |status: Status| {
        let error = refusal::from_status(doing, &status);
        error.of_a_look("`berth status` says how the member and its host are")
    };
    let mut chunks = answer.map_err(wrap)?.into_inner();
    while let Some(chunk) = chunks.message().await.map_err(wrap)? {
        output::raw(&chunk.data)?;
    }
    Ok(())
}
