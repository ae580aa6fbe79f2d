//! `berth snapshot`: short ways to write, show and delete VolumeSnapshots and the claims that begin
//! with one.

use clap::{Args, Subcommand};

use super::{AllNamespaces, FormatArgs};

/// `berth snapshot`.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Take a copy of a claim's volume as it is now.
    ///
    /// The same as applying a VolumeSnapshot. In a pool of images on xfs or btrfs the copy is of one
    /// instant, also while the member writes: as after a power cut, everything that it made durable is
    /// in it. Elsewhere it waits (`CopyNeedsStop`) until no member runs on the volume, and none is
    /// started until it is complete. Volumes on a server are refused. Risks: it takes room in the
    /// pool.
    Create(SnapshotCreateArgs),
    /// Show the snapshots, and whether each can be used.
    List(SnapshotListArgs),
    /// Remove a snapshot and its data, for good.
    ///
    /// Asks for its name. Claims that were restored from it keep their own copy.
    Delete(SnapshotDeleteArgs),
    /// Make a claim whose volume begins with a snapshot.
    ///
    /// The same as applying a PersistentVolumeClaim with a dataSource. The volume is made when the
    /// first member uses the claim, on the host that has the snapshot. Give it the name of a member's
    /// claim (`data-etcd-0`) to let that member begin with the data. Refused if the claim exists.
    /// Risks nothing: the claim that the snapshot is of is not touched.
    Restore(SnapshotRestoreArgs),
}

/// `berth snapshot create`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotCreateArgs {
    /// The claim, such as data-etcd-0.
    pub(crate) claim: String,
    /// The snapshot's name; made of the claim's and the time when left out.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// `berth snapshot list`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotListArgs {
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) all: AllNamespaces,
}

/// `berth snapshot delete`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotDeleteArgs {
    /// The snapshot.
    pub(crate) snapshot: String,
    /// Confirms the deletion of the snapshot with this name.
    #[arg(long, visible_alias = "confirm", value_name = "NAME")]
    pub(crate) yes_i_mean: Option<String>,
}

/// `berth snapshot restore`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotRestoreArgs {
    /// The snapshot.
    pub(crate) snapshot: String,
    /// The claim to make, such as data-etcd-0.
    #[arg(long, value_name = "CLAIM")]
    pub(crate) to: String,
    /// Its storage class; that of the snapshot's claim, if that is still there, when left out.
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    /// Its size, such as 10Gi; that of the snapshot when left out.
    #[arg(long, value_name = "SIZE")]
    pub(crate) size: Option<String>,
}
