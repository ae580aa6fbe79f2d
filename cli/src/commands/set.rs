//! `berth set`: verbs on whole sets.

use berth_core::spec::Kind;
use berth_proto::v1;

use super::{Context, confirm};
use crate::{
    args::RefoundArgs,
    error::CliError,
    output, refusal,
    target::{self, TargetKind},
};

/// Has a set begin anew.
pub(crate) async fn refound(context: &Context, args: RefoundArgs) -> Result<(), CliError> {
    let name = named(&args.set)?;
    let mut request = v1::RefoundRequest {
        namespace: context.namespace.clone(),
        name: name.clone(),
        typed_name: args.yes_i_mean.unwrap_or_default(),
    };
    let doing = format!("found {}/{name} anew", Kind::StatefulSet);
    let mut sets = context.coordinator.sets();
    if let Err(status) = sets.refound(request.clone()).await {
        let subject = format!("all data of {}/{name}", Kind::StatefulSet);
        confirm::after_refusal(&doing, &status, (subject, name.clone())).await?;
        request.typed_name.clone_from(&name);
        let answer = sets.refound(request).await;
        answer.map_err(|status| refusal::from_status(&doing, &status))?;
    }
    output::data(&format!(
        "{}/{name} is to be founded anew",
        Kind::StatefulSet
    ))?;
    output::note("`berth status` shows how far it is; `berth volume list --trash` its old data");
    Ok(())
}

fn named(text: &str) -> Result<String, CliError> {
    if !text.contains('/') {
        return Ok(text.to_owned());
    }
    match target::parse_named(text, None)? {
        (TargetKind::Object(Kind::StatefulSet), name) => Ok(name),
        (kind, name) => Err(CliError::Usage {
            message: format!("{kind}/{name} is no set"),
            hint: "give NAME, or sts/NAME".to_owned(),
        }),
    }
}
