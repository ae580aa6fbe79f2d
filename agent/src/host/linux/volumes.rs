//! Volumes, from the agent's side: where each one is, who it is for, and which helper is asked. The
//! agent itself touches no storage: it could hang.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use berth_core::{
    ids::{MemberId, RunId},
    order::VolumeOrder,
    volume::{PoolKind, VolumeHealth, VolumeSource},
    waiting::Reason,
};
use futures_util::future::join_all;

use super::{
    Inner, LinuxHost, PrepareVolumes, PreparedVolume, helpers, helpers::About, path_failed, runs,
    step_failed, users,
};
use crate::host::{
    RunVolume,
    storage::{
        Place, PoolPlace,
        helper::{HelperLine, HelperRequest},
        prepare::{PrepareRequest, VolumeTask},
    },
};

/// How long the volumes of a member may take to be made ready: a server that is there answers in
/// milliseconds, and one that has just restarted may be silent for some seconds.
pub(super) const PREPARE: Duration = Duration::from_secs(20);
/// For each GiB of an image that may have to be made.
pub(super) const PER_GIB: Duration = Duration::from_secs(1);
/// How long a mounted volume may take to say how full it is.
const LOOK: Duration = Duration::from_secs(5);

/// The ids of the pools that were used, by name. Durable: a pool that was used is never taken for
/// a new one.
#[derive(Debug)]
pub(super) struct KnownPools {
    dir: PathBuf,
    path: PathBuf,
    ids: Mutex<BTreeMap<String, String>>,
}

impl KnownPools {
    /// Reads what is remembered.
    pub(super) fn read(data_dir: &Path) -> Result<Self, Reason> {
        let path = data_dir.join("pools.json");
        let ids = match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|e| path_failed("understand", &path, e))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(path_failed("read", &path, error)),
        };
        let ids = Mutex::new(ids);
        Ok(Self {
            dir: data_dir.to_owned(),
            path,
            ids,
        })
    }

    pub(super) fn id(&self, pool: &str) -> Option<String> {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.get(pool).cloned()
    }

    /// Remembers a pool that was used for the first time.
    fn learn(&self, pool: &PoolPlace) -> Result<(), Reason> {
        let Some(id) = &pool.id else { return Ok(()) };
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.contains_key(&pool.name) {
            return Ok(());
        }
        let mut all = ids.clone();
        all.insert(pool.name.clone(), id.clone());
        let failed = |e: std::io::Error| path_failed("write", &self.path, e);
        let text = serde_json::to_vec_pretty(&all).map_err(|e| failed(e.into()))?;
        let aside = self.path.with_extension("new");
        File::create(&aside)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&aside, &self.path))
            .and_then(|()| File::open(&self.dir)?.sync_all())
            .map_err(failed)?;
        *ids = all;
        Ok(())
    }
}

/// Makes the volumes of a member ready for a start.
pub(super) async fn prepare(
    host: &LinuxHost,
    request: PrepareVolumes,
) -> Result<Vec<PreparedVolume>, Reason> {
    if request.volumes.is_empty() {
        return Ok(Vec::new());
    }
    let request = host.blocking(move |inner| resolve(inner, request)).await?;
    let about: Vec<About> = request
        .volumes
        .iter()
        .map(|task| about(&task.order))
        .collect();
    let images = request.volumes.iter().map(|task| match &task.place {
        Place::Image { bytes, .. } => bytes >> 30,
        Place::Directory { .. } | Place::Nfs { .. } => 0,
    });
    let gib = u32::try_from(images.sum::<u64>()).unwrap_or(u32::MAX);
    let limit = PREPARE + PER_GIB.saturating_mul(gib);
    let request = HelperRequest::Prepare(Box::new(request));
    let (program, stuck) = (&host.inner.config.keeper_program, &host.inner.stuck);
    let lines = helpers::ask(program, stuck, &about, &request, limit).await?;
    let ready: Vec<PreparedVolume> = lines
        .into_iter()
        .filter_map(|line| match line {
            HelperLine::Prepared(volume) => Some(*volume),
            HelperLine::At { .. }
            | HelperLine::Fact(_)
            | HelperLine::Pool(_)
            | HelperLine::Health(_)
            | HelperLine::Weight(_)
            | HelperLine::Failed(_)
            | HelperLine::Done => None,
        })
        .collect();
    if ready.len() != about.len() {
        let error = format!("{} of {} are ready", ready.len(), about.len());
        return Err(step_failed("prepare the volumes", error));
    }
    host.blocking(move |inner| {
        for volume in &ready {
            match &volume.place {
                Place::Directory { pool, .. } | Place::Image { pool, .. } => {
                    inner.pools.learn(pool)?;
                }
                Place::Nfs { .. } => {}
            }
        }
        Ok(ready)
    })
    .await
}

fn about(order: &VolumeOrder) -> About {
    About {
        volume: order.name.clone(),
        source: order.source.describe(),
        step: "make it ready",
    }
}

/// Names become numbers and paths.
fn resolve(host: &Inner, request: PrepareVolumes) -> Result<PrepareRequest, Reason> {
    let mut volumes = Vec::new();
    for (order, owner) in request.volumes {
        let group = owner.group.as_deref();
        let policy = &host.config.policy;
        let identity = users::resolve(policy, &owner.process, &owner.user, group, &[])?;
        let place = place(host, &order.source, order.capacity)?;
        volumes.push(VolumeTask {
            order,
            owner,
            identity,
            place,
        });
    }
    Ok(PrepareRequest {
        history: request.history,
        epoch: request.epoch,
        notes: host.config.data_dir.join("volumes"),
        volumes,
    })
}

/// Where a volume's data is; `bytes` is how large it is to be.
pub(super) fn place(host: &Inner, source: &VolumeSource, bytes: u64) -> Result<Place, Reason> {
    let (name, dir) = match source {
        VolumeSource::Local { pool, dir, .. } => (pool, dir),
        VolumeSource::Nfs(source) => {
            host.config.policy.server(source)?;
            if let Some(dir) = &source.sub_dir {
                check_name(dir)?;
            }
            return Ok(Place::Nfs {
                source: source.clone(),
                address: None,
            });
        }
    };
    check_name(dir)?;
    let pool = host.config.pools.get(name);
    let pool = pool.ok_or_else(|| Reason::PoolMissing { pool: name.clone() })?;
    let place = PoolPlace {
        name: name.clone(),
        path: pool.path.clone(),
        id: host.pools.id(name),
    };
    let dir = dir.clone();
    Ok(match pool.kind {
        PoolKind::Directory => Place::Directory {
            pool: place,
            dir,
            bytes,
        },
        PoolKind::Image => Place::Image {
            pool: place,
            dir,
            bytes,
        },
    })
}

/// A directory of a volume has one plain name, whoever says so.
fn check_name(dir: &str) -> Result<(), Reason> {
    let plain = !dir.is_empty()
        && dir.len() <= 255
        && !dir.starts_with('.')
        && !dir.contains(|c: char| c == '/' || c.is_control());
    if plain {
        return Ok(());
    }
    let error = "it is not one plain name; correct it in the StorageClass";
    Err(step_failed(
        format!("use the directory '{}'", dir.escape_default()),
        error,
    ))
}

/// Looks at the volumes of a run.
pub(super) async fn look(
    host: &LinuxHost,
    member: &MemberId,
    run: &RunId,
) -> BTreeMap<String, VolumeHealth> {
    let record = runs::read(&host.inner.run_dir(member)).ok().flatten();
    let Some(record) = record.filter(|record| record.run == *run) else {
        return BTreeMap::new();
    };
    // Held meanwhile, so that the id stays this keeper's.
    let Ok(Some(_keeper)) = runs::keeper_of(host, &record) else {
        return BTreeMap::new();
    };
    let looks = record.volumes.iter().map(|volume| async {
        let health = look_at(host, record.pid, volume).await?;
        Some((volume.volume.report.name.clone(), health))
    });
    join_all(looks).await.into_iter().flatten().collect()
}

async fn look_at(host: &LinuxHost, keeper: u32, volume: &RunVolume) -> Option<VolumeHealth> {
    let about = About {
        volume: volume.volume.report.name.clone(),
        source: volume.volume.source.clone(),
        step: "see how full it is",
    };
    let request = HelperRequest::Look {
        path: format!("/proc/{keeper}/fd/{}", volume.fd).into(),
        shared: volume.shared,
    };
    let (program, stuck) = (&host.inner.config.keeper_program, &host.inner.stuck);
    match helpers::ask(program, stuck, &[about], &request, LOOK).await {
        Ok(lines) => lines.into_iter().find_map(|line| match line {
            HelperLine::Health(health) => Some(health),
            HelperLine::At { .. }
            | HelperLine::Fact(_)
            | HelperLine::Prepared(_)
            | HelperLine::Pool(_)
            | HelperLine::Weight(_)
            | HelperLine::Failed(_)
            | HelperLine::Done => None,
        }),
        Err(Reason::VolumeHung { step, .. }) => Some(VolumeHealth::Hung { step }),
        Err(reason) => {
            tracing::warn!("{reason}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_remembered_once_and_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let known = KnownPools::read(dir.path()).unwrap();
        let pool = |id: &str| PoolPlace {
            name: "fast".to_owned(),
            path: "/fast".into(),
            id: Some(id.to_owned()),
        };
        known.learn(&pool("one")).unwrap();
        known.learn(&pool("two")).unwrap();
        let again = KnownPools::read(dir.path()).unwrap();
        assert_eq!(again.id("fast").as_deref(), Some("one"));
        assert_eq!(again.id("slow"), None);
        fs::write(dir.path().join("pools.json"), "{").unwrap();
        assert!(KnownPools::read(dir.path()).is_err());
    }

    #[test]
    fn a_volumes_directory_has_one_plain_name() {
        for name in ["default_data-web-0", "a.b", "web 0"] {
            check_name(name).unwrap();
        }
        let long = "x".repeat(256);
        for name in [
            "",
            ".",
            "..",
            ".berth-pool",
            "a/b",
            "/a",
            "a\0",
            "a\nb",
            &long,
        ] {
            check_name(name).unwrap_err();
        }
    }
}
