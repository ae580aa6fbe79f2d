//! The examples that operators begin with: they are right, nothing in them is warned of, and they
//! render to what the programs expect.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::{collections::BTreeMap, sync::Arc};

use berth_core::{
    admission::{Admission, Existing, Objects, Options, admit},
    ids::{Epoch, MemberId, Ordinal, TemplateHash},
    lease::Leases,
    manifest::{Source, parse},
    order::{ConfigData, Desired, MemberOrder, Peer, RenderValues},
    rendered::RenderedProcess,
    spec::{Membership, Object, PersistentVolume, StatefulSet},
    template::{ClaimValues, claim_spec, render_member},
};

const NGINX: &str = include_str!("../../deploy/examples/nginx/nginx.yaml");
const ETCD: &str = include_str!("../../deploy/examples/etcd/etcd.yaml");
const NFS_STATIC: &str = include_str!("../../deploy/examples/nfs-static/nfs-static.yaml");
const ELASTICSEARCH: &str = include_str!("../../deploy/examples/elasticsearch/elasticsearch.yaml");

fn apply(text: &str) -> Admission {
    let source = Source {
        file: "example.yaml".to_owned(),
        text: text.to_owned(),
    };
    let existing = Existing {
        objects: &Objects::new(),
        founders: &BTreeMap::new(),
        bound: &BTreeMap::new(),
        held: &BTreeMap::new(),
        leases: Leases::default(),
    };
    let parsed = parse(&[source], "default");
    let admission = parsed.and_then(|objects| admit(existing, objects, Options::default()));
    admission.unwrap_or_else(|violations| {
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"))
    })
}

fn set(text: &str) -> StatefulSet {
    let admission = apply(text);
    assert_eq!(admission.warnings, [""; 0]);
    let mut objects = admission.changes.into_iter().map(|change| change.object);
    let set = objects.find_map(|object| {
        if let Object::StatefulSet(set) = object {
            Some(set)
        } else {
            None
        }
    });
    set.expect("the example has a set")
}

/// The first process of a member, rendered as on a host of a cluster with the example's size.
fn process(set: &StatefulSet, ordinal: u32, founding: bool) -> RenderedProcess {
    let name = &set.metadata.name;
    let peer = |n: u32| Peer {
        name: format!("{name}-{n}"),
        fqdn: format!("{name}-{n}.{name}.default.svc.berth.internal"),
        address: format!("127.77.1.{n}"),
        ordinal: Ordinal(n),
        host_labels: BTreeMap::new(),
    };
    let peers: Vec<Peer> = (0..set.spec.replicas()).map(peer).collect();
    let order = MemberOrder {
        member: MemberId {
            set: set.metadata.key().expect("a valid name"),
            ordinal: Ordinal(ordinal),
        },
        epoch: Epoch::default(),
        desired: Desired::Run,
        revision: TemplateHash::default(),
        lease: None,
        depends_on: Vec::new(),
        template: Arc::new(set.spec.template.spec.clone()),
        values: RenderValues {
            namespace: "default".to_owned(),
            set: name.clone(),
            member: peer(ordinal).name,
            ordinal,
            replicas: set.spec.replicas(),
            fqdn: peer(ordinal).fqdn,
            address: peer(ordinal).address,
            founders: peers.clone(),
            peers: peers.into(),
            founding,
            host_labels: BTreeMap::new(),
            previous_address: None,
            ..RenderValues::default()
        },
        volumes: Vec::new(),
        config: ConfigData::default(),
    };
    let member = render_member(&order, "/run/config").expect("the example renders");
    member.processes.into_iter().next().expect("a process")
}

fn file<'a>(process: &'a RenderedProcess, path: &str) -> &'a str {
    let file = process.files.iter().find(|file| file.path == path);
    file.expect("the file").content.expose()
}

#[test]
fn nginx_serves_its_own_page_on_its_own_address() {
    let set = set(NGINX);
    assert_eq!(set.spec.membership(), Membership::Dynamic);
    let nginx = process(&set, 1, false);
    assert_eq!(
        nginx.argv.get(4).map(String::as_str),
        Some("/run/config/nginx.conf")
    );
    assert!(file(&nginx, "/run/config/nginx.conf").contains("listen 127.77.1.1:8080;"));
    let page = file(&nginx, "/usr/share/nginx/html/index.html");
    assert!(page.starts_with("<h1>web-1</h1>\n"), "{page}");
}

#[test]
fn each_web_server_selects_the_directory_that_is_meant_for_it() {
    let set = set(NFS_STATIC);
    let changes = apply(NFS_STATIC).changes;
    let volumes: Vec<&PersistentVolume> = changes
        .iter()
        .filter_map(|change| {
            if let Object::PersistentVolume(volume) = &change.object {
                Some(volume)
            } else {
                None
            }
        })
        .collect();
    let template = set.spec.volume_claim_templates.first();
    let template = &template.expect("a claim template").spec;
    for ordinal in 0..2 {
        let member = MemberId {
            set: set.metadata.key().expect("a valid name"),
            ordinal: Ordinal(ordinal),
        };
        let claim = member.claim("www").expect("a valid name");
        let values = ClaimValues {
            claim: &claim,
            member: Some(&member),
        };
        let asked = claim_spec(template, values).expect("the selector renders");
        let made = changes.iter().find_map(|change| {
            if let Object::PersistentVolumeClaim(made) = &change.object {
                (change.key == claim).then_some(&made.spec)
            } else {
                None
            }
        });
        assert_eq!(made, Some(&asked), "the claim made beforehand is the set's");
        let selector = asked.selector.expect("a selector");
        let mut selected = volumes
            .iter()
            .filter(|volume| selector.matches(&volume.metadata.labels));
        let volume = selected.next().expect("a volume");
        assert!(selected.next().is_none(), "and no other");
        assert!(volume.spec.storage() >= template.storage());
        let nfs = volume.spec.nfs_source().expect("a source");
        assert_eq!(nfs.path, format!("/exports/web/{ordinal}"));
    }
    let mount = process(&set, 0, false).mounts.into_iter().next();
    let mount = mount.expect("a mount");
    assert_eq!(mount.sub_path.as_deref(), Some("html"));
}

#[test]
fn etcd_is_new_only_while_it_is_founded() {
    let set = set(ETCD);
    assert_eq!(set.spec.membership(), Membership::Static);
    let new = process(&set, 0, true);
    let cluster = "--initial-cluster=etcd-0=http://etcd-0.etcd.default.svc.berth.internal:2380,\
                   etcd-1=http://etcd-1.etcd.default.svc.berth.internal:2380,\
                   etcd-2=http://etcd-2.etcd.default.svc.berth.internal:2380";
    assert!(new.argv.iter().any(|arg| arg == cluster), "{:?}", new.argv);
    let state = |p: &RenderedProcess| {
        let mut states = p
            .argv
            .iter()
            .filter(|a| a.starts_with("--initial-cluster-state"));
        states.next().cloned()
    };
    assert_eq!(state(&new).as_deref(), Some("--initial-cluster-state=new"));
    let old = process(&set, 0, false);
    assert_eq!(
        state(&old).as_deref(),
        Some("--initial-cluster-state=existing")
    );
}

#[test]
fn elasticsearch_has_initial_masters_only_while_it_is_founded() {
    let set = set(ELASTICSEARCH);
    let new = process(&set, 2, true);
    let text = file(&new, "/run/config/elasticsearch.yml");
    let expected = "\
discovery.seed_hosts:
  - elasticsearch-0.elasticsearch.default.svc.berth.internal:9300
  - elasticsearch-1.elasticsearch.default.svc.berth.internal:9300
  - elasticsearch-2.elasticsearch.default.svc.berth.internal:9300
# Only until this node has been part of the cluster once.
cluster.initial_master_nodes:
  - elasticsearch-0
  - elasticsearch-1
  - elasticsearch-2
# On a trusted";
    assert!(text.contains(expected), "{text}");
    let old = process(&set, 2, false);
    assert!(!file(&old, "/run/config/elasticsearch.yml").contains("initial_master_nodes"));
    let memlock = old.rlimits.get("memlock").unwrap();
    assert_eq!((memlock.soft, memlock.hard), (None, None));
}
