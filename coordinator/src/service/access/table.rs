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
