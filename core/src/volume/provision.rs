//! Volumes that a class makes: their names, and where their data lies.
//!
//! Two volumes never have the same directory, nor one inside the other's: where a name is taken, a
//! local volume gets one with the claim's id in it, because nobody chose the name; a directory on a
//! server is named by the class, so it is refused and the operator told.

use std::{collections::BTreeMap, net::IpAddr};

use crate::{
    ids::{ClaimKey, Epoch, HostName, MemberId, ObjectKey},
    spec::{Provisioner, StorageClass},
    state::{BoundClaim, Claim, State, Volume, VolumeState},
    template::{ClaimValues, sub_dir},
    time::Timestamp,
    volume::{
        NfsOptions, NfsSource, NfsVersion, VolumeSource, binding::static_source,
        class::DEFAULT_POOL,
    },
    waiting::Reason,
};

/// A claim that a class is to make a volume for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The claim's name.
    pub key: &'a ClaimKey,
    /// The claim.
    pub claim: &'a Claim,
    /// Its class.
    pub class: &'a StorageClass,
}

/// The pool of a class.
pub fn pool(class: &StorageClass) -> &str {
    let pool = class.parameters.pool.as_str();
    if pool.is_empty() { DEFAULT_POOL } else { pool }
}

/// The name of the volume that is made for a claim; `None` if its id makes no name.
pub fn name(claim: &Claim) -> Option<ObjectKey> {
    ObjectKey::of_cluster(&format!("pvc-{}", claim.uid)).ok()
}

/// A new volume in the pool of a host.
pub fn local(state: &State, wanted: Wanted<'_>, host: &HostName, now: Timestamp) -> Volume {
    let source = local_source(state, wanted, host);
    wanted.volume(source, now)
}

fn local_source(state: &State, wanted: Wanted<'_>, host: &HostName) -> VolumeSource {
    let pool = pool(wanted.class).to_owned();
    let host = host.clone();
    let plain = plain_dir(wanted.key);
    let place = (host.clone(), pool.clone(), plain.clone());
    let dir = if state.index().at.of(&place).next().is_some() {
        let uid: String = wanted.claim.uid.0.chars().take(8).collect();
        format!("{plain}.{uid}")
    } else {
        plain
    };
    VolumeSource::Local { host, pool, dir }
}

/// The name of the volume to which a move takes the data of a claim; `None` if its id makes no name.
pub(crate) fn moved_name(claim: &Claim, epoch: Epoch) -> Option<ObjectKey> {
    let name = format!("pvc-{}-{}-{}", claim.uid, epoch.term, epoch.counter);
    ObjectKey::of_cluster(&name).ok()
}

/// A directory in the pool of a host for the data of a claim that moves there. It is named by the move,
/// because what an earlier one brought may still lie in the pool of a host that was given up and came back.
pub(crate) fn moved_source(
    key: &ClaimKey,
    pool: &str,
    host: &HostName,
    epoch: Epoch,
) -> VolumeSource {
    let plain = plain_dir(key);
    VolumeSource::Local {
        host: host.clone(),
        pool: pool.to_owned(),
        dir: format!("{plain}.{}-{}", epoch.term, epoch.counter),
    }
}

fn plain_dir(ClaimKey { namespace, name }: &ClaimKey) -> String {
    format!("{namespace}_{name}")
}

/// A new directory on the server of a class.
///
/// # Errors
/// Its name cannot be rendered, or another volume has it.
pub fn nfs(
    state: &State,
    wanted: Wanted<'_>,
    member: Option<&MemberId>,
    now: Timestamp,
) -> Result<Volume, Reason> {
    let given = &wanted.class.parameters;
    let field = |field: &str| format!("{} of class {}", field, wanted.class.metadata.name);
    let values = ClaimValues {
        claim: wanted.key,
        member,
    };
    let dir = sub_dir(&given.sub_dir, values).map_err(|error| Reason::RenderFailed {
        field: field(&error.field),
        error: error.message,
    })?;
    let wrong = |name: &str, error: String| Reason::RenderFailed {
        field: field(name),
        error,
    };
    let version = given.version.as_deref().map(str::parse::<NfsVersion>);
    let version = version.transpose();
    let version = version.map_err(|error| wrong("parameters.version", error.to_string()))?;
    let options = NfsOptions::parse(&wanted.class.mount_options).map_err(|errors| {
        let texts: Vec<String> = errors.iter().map(|(_, error)| error.to_string()).collect();
        wrong("mountOptions", texts.join("; "))
    })?;
    let source = VolumeSource::Nfs(NfsSource {
        server: given.server.clone(),
        path: given.share.clone(),
        sub_dir: Some(dir),
        version: version.or_else(|| options.version()).unwrap_or_default(),
        options,
        read_only: false,
    });
    if let Some(volume) = taken(state, &source) {
        let claim = wanted.key.clone();
        let path = source.describe();
        return Err(Reason::ExportTaken {
            claim,
            path,
            volume,
        });
    }
    Ok(wanted.volume(source, now))
}

/// The volume that has a directory, part of it, or one around it.
fn taken(state: &State, source: &VolumeSource) -> Option<String> {
    let servers = Servers::of(state);
    let overlap = |a: &VolumeSource, b: &VolumeSource| servers.overlap(a, b);
    let records = state.volumes.iter();
    let mut records =
        records.filter(|(_, volume)| !volume.is_moved_away() && overlap(&volume.source, source));
    let record = records.next().map(|(name, _)| name);
    let made = state.persistent_volumes.iter();
    let mut made = made
        .filter(|(_, object)| static_source(object).is_some_and(|other| overlap(&other, source)));
    let found = record.or_else(|| made.next().map(|(name, _)| name));
    found.map(|name| name.name.to_string())
}

/// The addresses of servers, as far as members were started on their volumes: two names may be one
/// server, and a server may be named by its address.
#[derive(Debug)]
pub struct Servers<'a>(BTreeMap<&'a str, IpAddr>);

impl<'a> Servers<'a> {
    /// What is known of them.
    pub fn of(state: &'a State) -> Self {
        let index = state.index();
        let volumes = index.on_servers.of(&());
        let volumes = volumes.filter_map(|name| state.volumes.get(name));
        let known = volumes.filter_map(|volume| {
            let VolumeSource::Nfs(nfs) = &volume.source else {
                return None;
            };
            Some((nfs.server.as_str(), volume.address?))
        });
        Self(known.collect())
    }

    fn address(&self, server: &str) -> Option<IpAddr> {
        server.parse().ok().or_else(|| self.0.get(server).copied())
    }

    fn is_same(&self, a: &str, b: &str) -> bool {
        let address = self.address(a);
        a.eq_ignore_ascii_case(b) || (address.is_some() && address == self.address(b))
    }

    /// Whether two places have a directory in common.
    pub fn overlap(&self, a: &VolumeSource, b: &VolumeSource) -> bool {
        match (a, b) {
            (VolumeSource::Nfs(a), VolumeSource::Nfs(b)) => {
                self.is_same(&a.server, &b.server) && a.paths(b) != Places::Apart
            }
            (VolumeSource::Local { .. }, VolumeSource::Local { .. }) => a == b,
            (VolumeSource::Local { .. }, VolumeSource::Nfs(_))
            | (VolumeSource::Nfs(_), VolumeSource::Local { .. }) => false,
        }
    }
}

/// How two directories lie to each other, as far as their names tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// Neither has anything of the other.
    Apart,
    /// They are one.
    Same,
    /// The first lies in the second.
    Inside,
    /// The second lies in the first.
    Around,
}

impl NfsSource {
    /// How its directory lies to another one, as far as the names of their servers tell.
    pub fn places(&self, other: &Self) -> Places {
        if self.server.eq_ignore_ascii_case(&other.server) {
            self.paths(other)
        } else {
            Places::Apart
        }
    }

    /// How its directory lies to another one of the same server.
    fn paths(&self, other: &Self) -> Places {
        let (mut own, mut its) = (self.names(), other.names());
        loop {
            match (own.next(), its.next()) {
                (Some(a), Some(b)) if a == b => {}
                (Some(_), Some(_)) => return Places::Apart,
                (Some(_), None) => return Places::Inside,
                (None, Some(_)) => return Places::Around,
                (None, None) => return Places::Same,
            }
        }
    }

    /// The names on the way to its directory.
    fn names(&self) -> impl Iterator<Item = &str> {
        let path = self.path.split('/').filter(|name| !name.is_empty());
        path.chain(self.sub_dir.as_deref())
    }
}

impl Wanted<'_> {
    fn volume(self, source: VolumeSource, now: Timestamp) -> Volume {
        Volume {
            source,
            provisioned: true,
            capacity: self.claim.spec.storage(),
            access_modes: self.claim.spec.access_modes.clone(),
            class: self.class.metadata.name.clone(),
            reclaim: self.class.reclaim_policy,
            claim: Some(BoundClaim {
                key: self.key.clone(),
                uid: self.claim.uid.clone(),
            }),
            owners: Vec::new(),
            filled: false,
            address: None,
            adopt: false,
            origin: None,
            moved_in: None,
            moved_out: None,
            state: VolumeState::Live,
            deletions: 0,
            created_at: now,
        }
    }

    /// Whether its class makes volumes at all.
    pub fn is_made(&self) -> bool {
        match self.class.provisioner {
            Provisioner::Local | Provisioner::Nfs => true,
            Provisioner::NoProvisioner => false,
        }
    }
}
