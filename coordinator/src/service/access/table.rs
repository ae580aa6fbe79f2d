//! Which method needs which role: all methods of all services, in one place. One that is missing here
//! is refused, and a test says so.

use berth_core::access::{Rights, Role};

/// What a method needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: what is sent proves who asks.
    Nothing,
    /// Any certificate that is taken.
    Certificate,
    /// An agent's certificate. What is asked or told must be of its own host; the method looks.
    Agent,
    /// A role that ends at no namespace: it is about the whole cluster.
    Cluster(Role),
    /// A role in the namespace that it is about; the method looks which that is.
    In(Role),
}

use Needs::{Agent, Certificate, Cluster, In, Nothing};
use Role::{Admin, Operator, Viewer};

/// Services, and what each of their methods needs.
pub(crate) const TABLE: [(&str, &[(&str, Needs)]); 13] = [
    (
        "berth.v1.ObjectService",
        &[
            ("Apply", In(Operator)),
            ("Plan", In(Viewer)),
            ("Get", In(Viewer)),
            ("List", In(Viewer)),
            ("Watch", In(Viewer)),
            ("Delete", In(Operator)),
        ],
    ),
    (
        "berth.v1.SetService",
        &[
            ("Scale", In(Operator)),
            ("Status", In(Viewer)),
            ("ListStatus", In(Viewer)),
            ("History", In(Viewer)),
            ("Undo", In(Operator)),
            ("RolloutRestart", In(Operator)),
            ("RolloutPause", In(Operator)),
            ("Refound", In(Operator)),
        ],
    ),
    (
        "berth.v1.MemberService",
        &[
            ("List", In(Viewer)),
            ("Watch", In(Viewer)),
            ("Logs", In(Viewer)),
            ("Exec", In(Operator)),
            ("Restart", In(Operator)),
            ("SetOffline", In(Operator)),
            ("SetCondition", In(Operator)),
            ("Replace", In(Operator)),
            ("Move", In(Operator)),
            ("CancelMove", In(Operator)),
            // It may make a member run twice.
            ("Force", Cluster(Admin)),
        ],
    ),
    (
        "berth.v1.HostService",
        &[
            ("List", Cluster(Viewer)),
            ("SetUnschedulable", Cluster(Admin)),
            ("Drain", Cluster(Admin)),
            ("Label", Cluster(Admin)),
            ("ConfirmDead", Cluster(Admin)),
            ("Remove", Cluster(Admin)),
        ],
    ),
    (
        // Volumes are of no namespace.
        "berth.v1.VolumeService",
        &[
            ("List", Cluster(Viewer)),
            ("Get", Cluster(Viewer)),
            ("Adopt", Cluster(Operator)),
            ("Release", Cluster(Operator)),
            ("Delete", Cluster(Operator)),
            ("Undelete", Cluster(Operator)),
        ],
    ),
    (
        "berth.v1.EventService",
        &[("List", In(Viewer)), ("Watch", In(Viewer))],
    ),
    (
        "berth.v1.AdminService",
        &[
            ("History", Cluster(Viewer)),
            ("AcceptRestore", Cluster(Admin)),
            // It has every secret.
            ("Backup", Cluster(Admin)),
            ("ListAudit", Cluster(Admin)),
        ],
    ),
    (
        "berth.v1.AccessService",
        &[
            ("CreateToken", Cluster(Admin)),
            ("ListTokens", Cluster(Admin)),
            ("DeleteToken", Cluster(Admin)),
            ("CreateUser", Cluster(Admin)),
            ("ListUsers", Cluster(Admin)),
            ("DeleteUser", Cluster(Admin)),
        ],
    ),
    (
        "berth.v1.IdentityService",
        &[("Join", Nothing), ("Renew", Certificate)],
    ),
    (
        "berth.v1.AgentService",
        &[("Session", Agent), ("Exec", Agent), ("Transfer", Agent)],
    ),
    (
        "grpc.health.v1.Health",
        &[
            ("Check", Certificate),
            ("List", Certificate),
            ("Watch", Certificate),
        ],
    ),
    (
        "grpc.reflection.v1.ServerReflection",
        &[("ServerReflectionInfo", Certificate)],
    ),
    (
        "grpc.reflection.v1alpha.ServerReflection",
        &[("ServerReflectionInfo", Certificate)],
    ),
];

/// Methods that are streams, and so have no end of their own: they last for as long as somebody listens
/// or is sent something, and no deadline of the coordinator's ends them. All others answer once, in
/// bounded time. One caller has so many of these open at once.
pub(crate) const LONG: [(&str, &[&str]); 8] = [
    ("berth.v1.ObjectService", &["Watch"]),
    ("berth.v1.MemberService", &["Watch", "Logs", "Exec"]),
    ("berth.v1.EventService", &["Watch"]),
    ("berth.v1.AdminService", &["Backup"]),
    ("berth.v1.AgentService", &["Session", "Exec", "Transfer"]),
    ("grpc.health.v1.Health", &["Watch"]),
    (
        "grpc.reflection.v1.ServerReflection",
        &["ServerReflectionInfo"],
    ),
    (
        "grpc.reflection.v1alpha.ServerReflection",
        &["ServerReflectionInfo"],
    ),
];

/// The one method that no limit of calls and streams is for: an agent that reports is heard, whatever else
/// its host asks for. A host has one such stream, a newer one ends it, and one that does not begin with a
/// hello ends by itself.
const UNCOUNTED: &str = "/berth.v1.AgentService/Session";

/// The names of all services.
pub(crate) fn services() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// What the method at a path (`/SERVICE/METHOD`) needs; `None` if there is no such method.
pub(crate) fn needs(path: &str) -> Option<Needs> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let (_, methods) = TABLE.iter().find(|(name, _)| *name == service)?;
    let (_, needs) = methods.iter().find(|(name, _)| *name == method)?;
    Some(*needs)
}

/// Whether the method at a path is a stream.
pub(crate) fn is_long(path: &str) -> bool {
    let split = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    let of = |service: &str, method: &str| {
        let mut services = LONG.iter();
        services.any(|(name, methods)| *name == service && methods.contains(&method))
    };
    split.is_some_and(|(service, method)| of(service, method))
}

/// Whether calls of the method at a path are counted.
pub(crate) fn is_counted(path: &str) -> bool {
    path != UNCOUNTED
}

impl Needs {
    /// Whether somebody may call it, whatever namespace it is about.
    pub(crate) fn met_by(self, rights: &Rights) -> bool {
        match rights {
            Rights::Root => true,
            Rights::Nothing => self == Nothing,
            Rights::Agent(_) => matches!(self, Nothing | Certificate | Agent),
            Rights::Operator { role, .. } => match self {
                Nothing | Certificate => true,
                Agent => false,
                In(least) => *role >= least,
                Cluster(least) => *role >= least && !rights.limited(),
            },
        }
    }
}
