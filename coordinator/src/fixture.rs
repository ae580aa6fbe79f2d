//! A store for tests of volumes: one host, one claim that was filled, and its volume.

use std::collections::BTreeMap;

use berth_core::{
    ids::{HistoryId, HostName, ObjectKey, Term, Uid},
    spec::{
        AccessMode, Kind, NfsVolumeSource, Object, ObjectMeta, PersistentVolume,
        PersistentVolumeClaimSpec, PersistentVolumeSpec, ReclaimPolicy,
    },
    state::{BoundClaim, Claim, HostRecord, Volume, VolumeState},
    store::{Batch, Commit, CommitError, Keep, Key, Model, RecordKind},
    time::Timestamp,
    volume::{PoolInfo, VolumeSource},
};
use serde::Serialize;

use crate::state::{View, keys::host_key, records::put};

/// Any time.
pub(crate) const NOW: Timestamp = Timestamp(1_000_000);

/// A store and its view, without a file.
pub(crate) struct World {
    pub(crate) model: Model,
    pub(crate) view: View,
}

impl World {
    /// The host `host-1` with a pool, the claim `data` and the volume `vol` that it is bound to.
    pub(crate) fn new(pool: PoolInfo) -> Self {
        let model = Model::new(Keep {
            commits: 10,
            events: 100,
        });
        let view = View::load(&model, &HistoryId::default(), Term(1), "berth.internal");
        let mut world = Self { model, view };
        world.host(pool);
        world.claim(&claim());
        world.volume(&volume());
        world
    }

    pub(crate) fn host(&mut self, pool: PoolInfo) {
        let name: HostName = "host-1".parse().unwrap();
        let record = HostRecord {
            name: name.clone(),
            advertise_address: "10.0.0.1".parse().unwrap(),
            labels: BTreeMap::new(),
            pools: [("default".to_owned(), pool)].into(),
            unschedulable: false,
            machine_id: String::new(),
            product_uuid: String::new(),
            controllers: std::collections::BTreeSet::new(),
            self_fences: false,
            watchdog: false,
            agent_labels: BTreeMap::new(),
            directives: berth_core::state::HostDirectives::default(),
        };
        let key = host_key(RecordKind::Host, &name).unwrap();
        self.put(key, &record);
    }

    pub(crate) fn claim(&mut self, claim: &Claim) {
        self.put(Key::new(RecordKind::Claim, key("data")), claim);
    }

    pub(crate) fn volume(&mut self, volume: &Volume) {
        self.put(Key::new(RecordKind::Volume, name()), volume);
    }

    /// Turns the volume into one that an operator made.
    pub(crate) fn by_hand(&mut self) {
        let object = Object::PersistentVolume(PersistentVolume {
            metadata: ObjectMeta {
                name: "vol".to_owned(),
                namespace: "default".to_owned(),
                ..ObjectMeta::default()
            },
            spec: PersistentVolumeSpec {
                nfs: Some(NfsVolumeSource::default()),
                ..PersistentVolumeSpec::default()
            },
        });
        let kind = RecordKind::Object(Kind::PersistentVolume);
        self.put(Key::new(kind, name()), &object);
        self.volume(&Volume {
            provisioned: false,
            ..volume()
        });
    }

    pub(crate) fn put<T: Serialize>(&mut self, key: Key, record: &T) {
        let mut batch = Batch::default();
        put(&mut batch, key, record).unwrap();
        self.commit(batch).unwrap();
    }

    /// Commits, and holds that a restart would show the same.
    pub(crate) fn commit(&mut self, batch: Batch) -> Result<Commit, CommitError> {
        let commit = self.model.commit(batch)?;
        self.view.absorb(&commit);
        let again = View::load(
            &self.model,
            &HistoryId::default(),
            Term(1),
            "berth.internal",
        );
        assert_eq!(again.state.claims, self.view.state.claims);
        assert_eq!(again.state.volumes, self.view.state.volumes);
        assert_eq!(again.objects, self.view.objects);
        assert_eq!(again.former_claims, self.view.former_claims);
        Ok(commit)
    }

    /// The record of the volume as it is now.
    pub(crate) fn record(&self) -> &Volume {
        &self.view.state.volumes[&name()]
    }
}

/// A key in `default`.
pub(crate) fn key(name: &str) -> ObjectKey {
    format!("default/{name}").parse().unwrap()
}

/// The volume's name.
pub(crate) fn name() -> ObjectKey {
    ObjectKey::of_cluster("vol").unwrap()
}

/// The claim.
pub(crate) fn claim() -> Claim {
    Claim {
        uid: Uid("uid".to_owned()),
        member: None,
        template: String::new(),
        spec: storage("1Gi"),
        labels: BTreeMap::new(),
        volume: Some(name()),
        filled: true,
        owner: None,
        created_at: NOW,
        goes_with: None,
    }
}

/// What asks for so much.
pub(crate) fn storage(amount: &str) -> PersistentVolumeClaimSpec {
    let mut spec = PersistentVolumeClaimSpec {
        access_modes: vec![AccessMode::ReadWriteOnce],
        ..PersistentVolumeClaimSpec::default()
    };
    let requests = &mut spec.resources.requests;
    requests.insert("storage".to_owned(), amount.to_owned());
    spec
}

/// The volume, made by a class.
pub(crate) fn volume() -> Volume {
    Volume {
        source: VolumeSource::Local {
            host: "host-1".parse().unwrap(),
            pool: "default".to_owned(),
            dir: "default_data".to_owned(),
        },
        provisioned: true,
        capacity: 1 << 30,
        access_modes: vec![AccessMode::ReadWriteOnce],
        class: "local".to_owned(),
        reclaim: ReclaimPolicy::Delete,
        claim: Some(BoundClaim {
            key: key("data"),
            uid: Uid("uid".to_owned()),
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
        created_at: NOW,
    }
}
