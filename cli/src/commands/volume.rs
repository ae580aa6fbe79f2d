//! `berth volume`: what holds the data, and what becomes of it.

use berth_proto::v1;
use tonic::{Response, Status};

use super::{Context, confirm, events};
use crate::{
    args::{Format, VolumeCommand, VolumeDeleteArgs, VolumeListArgs},
    error::CliError,
    output::{self, age, format, volumes, volumes::VolumeInfoView},
    refusal,
};

/// Shows volumes, or changes one.
pub(crate) async fn run(context: &Context, command: VolumeCommand) -> Result<(), CliError> {
    let mut client = context.coordinator.volumes();
    let named = |name: &str| v1::VolumeRequest {
        name: name.to_owned(),
    };
    match command {
        VolumeCommand::List(args) => list(context, args).await,
        VolumeCommand::Describe(args) => {
            let text = describe(context, &args.volume).await?;
            output::data(&text)
        }
        VolumeCommand::Adopt(args) => {
            let answer = client.adopt(named(&args.volume)).await;
            let volume = taken("adopt", &args.volume, answer)?;
            output::data(&format!(
                "volume {}: its data becomes the data of {}",
                volume.name,
                claim_or(&volume, "its next claim")
            ))
        }
        VolumeCommand::Release(args) => {
            let answer = client.release(named(&args.volume)).await;
            let volume = taken("release", &args.volume, answer)?;
            output::data(&format!("volume {} is {}", volume.name, volume.phase))
        }
        VolumeCommand::Delete(args) => delete(context, args).await,
        VolumeCommand::Undelete(args) => {
            let answer = client.undelete(named(&args.volume)).await;
            let volume = taken("undelete", &args.volume, answer)?;
            output::data(&match volume.claim.as_str() {
                "" => format!("volume {} comes back", volume.name),
                _ => format!(
                    "volume {} comes back with {}",
                    volume.name,
                    claim_or(&volume, "")
                ),
            })
        }
    }
}

fn claim_or(volume: &v1::Volume, otherwise: &str) -> String {
    if volume.claim.is_empty() {
        return otherwise.to_owned();
    }
    format!("claim {}/{}", volume.claim_namespace, volume.claim)
}

fn taken<T>(verb: &str, name: &str, answer: Result<Response<T>, Status>) -> Result<T, CliError> {
    let answer = answer.map(Response::into_inner);
    answer.map_err(|status| {
        let error = refusal::from_status(&format!("{verb} volume {name}"), &status);
        if status.code() == tonic::Code::NotFound {
            return error.hinting("`berth volume list` shows them all, with --trash the deleted");
        }
        error
    })
}

async fn list(context: &Context, args: VolumeListArgs) -> Result<(), CliError> {
    let request = v1::ListVolumesRequest { trash: args.trash };
    let answer = context.coordinator.volumes().list(request).await;
    let volumes = answer
        .map_err(|status| refusal::from_status("list volumes", &status))?
        .into_inner()
        .volumes;
    let output = args.format.output;
    if matches!(output, Format::Json | Format::Yaml) {
        let views: Vec<VolumeInfoView> = volumes.into_iter().map(Into::into).collect();
        let text = format::structured(output, &views)?;
        return output::data(&text.unwrap_or_default());
    }
    if volumes.is_empty() {
        output::note(if args.trash {
            "the trash is empty"
        } else {
            "no volumes; a class makes one when a claim needs it, `berth apply -f` others"
        });
        return Ok(());
    }
    output::data(&volumes::table(
        &volumes,
        args.trash,
        output == Format::Wide,
        age::now(),
    ))
}

/// A volume with what happened to it.
pub(crate) async fn describe(context: &Context, name: &str) -> Result<String, CliError> {
    let request = v1::VolumeRequest {
        name: name.to_owned(),
    };
    let answer = context.coordinator.volumes().get(request).await;
    let volume = taken("describe", name, answer)?;
    let now = age::now();
    let subject = format!("PersistentVolume/{name}");
    // Volumes belong to no namespace, and their events to `default`.
    let happened = events::list(context, "", &subject, 0).await?;
    Ok(volumes::describe(&volume, now) + &output::describe::events(&happened, now))
}

async fn delete(context: &Context, args: VolumeDeleteArgs) -> Result<(), CliError> {
    let name = args.volume;
    let mut client = context.coordinator.volumes();
    if args.yes_i_mean.as_ref() != Some(&name) {
        let unconfirmed = v1::DeleteVolumeRequest {
            name: name.clone(),
            typed_name: String::new(),
        };
        // What stands against it in any case is told before anything is to be typed.
        match client.delete(unconfirmed).await {
            Err(status) if refusal::asks_for_name(&status) => {}
            answer => drop(taken("delete", &name, answer)?),
        }
        confirm::typed_names(&[(format!("volume {name}"), name.clone())]).await?;
    }
    let request = v1::DeleteVolumeRequest {
        name: name.clone(),
        typed_name: name.clone(),
    };
    let volume = taken("delete", &name, client.delete(request).await)?;
    output::data(&format!(
        "volume {name} goes to the trash ({})",
        volume.source
    ))?;
    output::note(&format!(
        "`berth volume undelete {name}` brings it back, until its time in the trash is over: \
         `berth volume list --trash` shows when that is"
    ));
    Ok(())
}
