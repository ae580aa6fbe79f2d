//! `berth describe`: all there is to know about one thing, with what happened to it.

use berth_core::spec::Kind;
use berth_proto::v1;

use super::{Context, events, get, host, status, volume};
use crate::{
    args::NamedArgs,
    error::CliError,
    output::{self, age, describe, format},
    target::{self, TargetKind},
};

/// Describes one object, member or host.
pub(crate) async fn run(context: &Context, args: NamedArgs) -> Result<(), CliError> {
    let (kind, name) = target::parse_named(&args.kind, args.name.as_deref())?;
    let now = age::now();
    let (text, happened) = match kind {
        TargetKind::Object(Kind::StatefulSet) => {
            let manifest = get::one(context, Kind::StatefulSet, &name, false).await?;
            let set = status::one(context, &name).await?;
            let happened = of_set(context, &name, &set.members).await?;
            let manifest = format::yaml(&manifest)?;
            (describe::set(&set, &manifest, now), happened)
        }
        // It says what happened itself.
        TargetKind::Object(Kind::PersistentVolume) => {
            return output::data(&volume::describe(context, &name).await?);
        }
        TargetKind::Object(kind @ Kind::PersistentVolumeClaim) => {
            let object = get::one(context, kind, &name, false).await?;
            let happened = of(context, &format!("{kind}/{name}")).await?;
            let manifest = format::yaml(&object)?;
            (describe::claim(&object, &manifest), happened)
        }
        TargetKind::Object(kind) => {
            let object = get::one(context, kind, &name, false).await?;
            let happened = of(context, &format!("{kind}/{name}")).await?;
            (format::yaml(&object)?, happened)
        }
        TargetKind::Member => {
            let members = get::all_members(context, &context.namespace).await?;
            let found = members.into_iter().find(|member| member.name == name);
            let member = found.ok_or_else(|| get::no_member(context, &name))?;
            let happened = of(context, &format!("Member/{name}")).await?;
            (describe::member(&member, now), happened)
        }
        TargetKind::Host => {
            let host = host::one(context, &name).await?;
            let happened = events::list(context, "", &format!("Host/{name}"), 0).await?;
            (describe::host(&host, now), happened)
        }
    };
    output::data(&(text + &describe::events(&happened, now)))
}

async fn of(context: &Context, subject: &str) -> Result<Vec<v1::Event>, CliError> {
    events::list(context, &context.namespace, subject, 0).await
}

/// The events of a set and of its members, in one order.
async fn of_set(
    context: &Context,
    name: &str,
    members: &[v1::MemberStatus],
) -> Result<Vec<v1::Event>, CliError> {
    let mut subjects = vec![format!("{}/{name}", Kind::StatefulSet)];
    subjects.extend(members.iter().map(|one| format!("Member/{}", one.name)));
    let mut happened = events::list(context, &context.namespace, "", 0).await?;
    happened.retain(|event| subjects.contains(&event.subject));
    Ok(happened)
}
