//! `berth snapshot`: writes the objects that an operator would have written.

use berth_core::spec::Kind;
use berth_proto::v1;
use serde_json::{Value, json};

use super::{Context, apply, delete, get};
use crate::{
    args::{
        Cascade, DeleteArgs, GetArgs, SnapshotCommand, SnapshotCreateArgs, SnapshotRestoreArgs,
        WaitOptions,
    },
    error::CliError,
    exit::Exit,
    output::{self, age, objects::text},
};

const GROUP: &str = "snapshot.storage.k8s.io";

/// Takes, shows, restores or removes snapshots.
pub(crate) async fn run(context: &Context, command: SnapshotCommand) -> Result<(), CliError> {
    let kind = Kind::VolumeSnapshot.short().to_owned();
    match command {
        SnapshotCommand::Create(args) => create(context, args).await,
        SnapshotCommand::Restore(args) => restore(context, args).await,
        SnapshotCommand::List(args) => {
            let args = GetArgs {
                kind,
                name: None,
                show_secrets: false,
                format: args.format,
                all: args.all,
            };
            get::run(context, args).await
        }
        SnapshotCommand::Delete(args) => {
            let args = DeleteArgs {
                kind: Some(kind),
                name: Some(args.snapshot),
                files: Vec::new(),
                cascade: Cascade::default(),
                yes_i_mean: args.yes_i_mean.into_iter().collect(),
                dry_run: false,
                wait: WaitOptions::default(),
            };
            delete::run(context, args).await
        }
    }
}

async fn create(context: &Context, args: SnapshotCreateArgs) -> Result<(), CliError> {
    let claim = args.claim;
    let seconds = age::now().0 / 1000;
    let name = args.name.unwrap_or_else(|| format!("{claim}-{seconds}"));
    // A manifest may come before its claim, and may be applied again; who asks by verb means now.
    get::one(context, Kind::PersistentVolumeClaim, &claim, false).await?;
    let doing = format!("take snapshot {name}");
    free(context, doing, Kind::VolumeSnapshot, &name, "--name").await?;
    let object = json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": Kind::VolumeSnapshot.as_str(),
        "metadata": {"name": name},
        "spec": {"source": {"persistentVolumeClaimName": claim}},
    });
    store(context, &object).await?;
    output::note(&format!(
        "`berth describe vs/{name}` shows when it can be used"
    ));
    Ok(())
}

async fn restore(context: &Context, args: SnapshotRestoreArgs) -> Result<(), CliError> {
    let name = args.snapshot;
    let snapshot = get::one(context, Kind::VolumeSnapshot, &name, false).await?;
    if snapshot.pointer("/status/readyToUse") != Some(&Value::Bool(true)) {
        return Err(CliError::Answer {
            doing: format!("restore snapshot {name}"),
            message: "it is not ready".to_owned(),
            lines: Vec::new(),
            exit: Exit::Refused,
            hint: format!("`berth describe vs/{name}` says why"),
        });
    }
    let claims = Kind::PersistentVolumeClaim;
    let doing = format!("restore snapshot {name}");
    free(context, doing, claims, &args.to, "--to").await?;
    let source = text(&snapshot, "/spec/source/persistentVolumeClaimName");
    // Where it is gone, the default class has to do.
    let of = get::find(context, claims, &source).await?;
    let of = of.unwrap_or_default();
    let class = args.class.or_else(|| {
        let class = text(&of, "/spec/storageClassName");
        (!class.is_empty()).then_some(class)
    });
    let size = args
        .size
        .unwrap_or_else(|| text(&snapshot, "/status/restoreSize"));
    let mut spec = json!({
        "dataSource": {
            "apiGroup": GROUP,
            "kind": Kind::VolumeSnapshot.as_str(),
            "name": name,
        },
        "resources": {"requests": {"storage": size}},
    });
    if let (Some(fields), Some(class)) = (spec.as_object_mut(), class) {
        fields.insert("storageClassName".to_owned(), Value::String(class));
    }
    if let (Some(fields), Some(modes)) = (spec.as_object_mut(), of.pointer("/spec/accessModes")) {
        fields.insert("accessModes".to_owned(), modes.clone());
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": Kind::PersistentVolumeClaim.as_str(),
        "metadata": {"name": args.to},
        "spec": spec,
    });
    store(context, &object).await?;
    output::note("its volume is made when the first member uses the claim");
    Ok(())
}

/// That nothing has the name that something new is to get.
async fn free(
    context: &Context,
    doing: String,
    kind: Kind,
    name: &str,
    flag: &str,
) -> Result<(), CliError> {
    if get::find(context, kind, name).await?.is_none() {
        return Ok(());
    }
    Err(CliError::Answer {
        doing,
        message: format!("{kind}/{name} exists"),
        lines: Vec::new(),
        exit: Exit::Refused,
        hint: format!(
            "nothing was changed; give {flag} another name, or `berth delete {} {name}` first",
            kind.short()
        ),
    })
}

async fn store(context: &Context, object: &Value) -> Result<(), CliError> {
    let source = v1::Source {
        file: "berth snapshot".to_owned(),
        text: object.to_string(),
    };
    apply::store(context, vec![source]).await
}
