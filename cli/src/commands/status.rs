//! `berth status`: how the sets are, and why each member waits.

use berth_proto::v1;

use super::Context;
use crate::{
    args::{Format, StatusArgs},
    error::CliError,
    output::{self, age, format, view::SetView},
    refusal, target,
};

/// Shows the status of one set or of all.
pub(crate) async fn run(context: &Context, args: StatusArgs) -> Result<(), CliError> {
    let named = match &args.set {
        Some(set) => Some(target::parse_set(set, args.name.as_deref())?),
        None => None,
    };
    let sets = match &named {
        Some(name) => vec![one(context, name).await?],
        None => list(context, &context.scope(args.all.all_namespaces)).await?,
    };
    let output = args.format.output;
    if matches!(output, Format::Json | Format::Yaml) {
        let mut views: Vec<SetView> = sets.into_iter().map(Into::into).collect();
        let text = if named.is_some() {
            format::structured(output, &views.pop())?
        } else {
            format::structured(output, &views)?
        };
        return output::data(&text.unwrap_or_default());
    }
    if sets.is_empty() {
        output::note("no sets; `berth apply -f FILE` makes one");
        return Ok(());
    }
    let now = age::now();
    let texts: Vec<String> = sets
        .iter()
        .map(|set| output::status::set(set, output == Format::Wide, now))
        .collect();
    output::data(&texts.join("\n"))
}

/// The status of one set.
pub(crate) async fn one(context: &Context, name: &str) -> Result<v1::SetStatus, CliError> {
    let request = v1::SetStatusRequest {
        namespace: context.namespace.clone(),
        name: name.to_owned(),
    };
    let answer = context.coordinator.sets().status(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| refusal::from_status(&format!("show StatefulSet/{name}"), &status))
}

async fn list(context: &Context, namespace: &str) -> Result<Vec<v1::SetStatus>, CliError> {
    let request = v1::ListSetStatusRequest {
        namespace: namespace.to_owned(),
    };
    let answer = context.coordinator.sets().list_status(request).await;
    answer
        .map(|response| response.into_inner().sets)
        .map_err(|status| refusal::from_status("show the sets", &status))
}
