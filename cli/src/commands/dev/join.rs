//! The hosts of `berth dev` join as those of a real cluster do: with a token, by their agent's own
//! command, over TLS.

use std::{path::Path, process::Stdio};

use berth_proto::v1::CreateTokenRequest;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{
    cluster::failed,
    layout::{HostLayout, Layout},
};
use crate::{commands::Context, error::CliError, refusal};

/// Has a host join, if it has not.
pub(super) async fn join(
    context: &Context,
    layout: &Layout,
    host: &HostLayout,
    agent: &Path,
) -> Result<(), CliError> {
    if host.identity().exists() {
        return Ok(());
    }
    let request = CreateTokenRequest {
        ttl_s: 0,
        host: host.name.clone(),
    };
    let answer = context.coordinator.access().create_token(request).await;
    let answer = answer.map_err(|status| refusal::from_status("make a token", &status))?;
    let token = answer.into_inner().token;
    let cannot = |error: std::io::Error| failed(format!("{} cannot join: {error}", host.name));
    let mut command = Command::new(agent);
    command.arg("--config").arg(host.config());
    // A token on a command line is there for everybody to see.
    command.args(["join", &layout.address().to_string(), "-"]);
    let streams = command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = streams.spawn().map_err(cannot)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(token.as_bytes()).await.map_err(cannot)?;
    }
    let output = child.wait_with_output().await.map_err(cannot)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(format!("{} cannot join: {said}", host.name)))
}
