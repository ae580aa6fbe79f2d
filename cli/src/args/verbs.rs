//! Verbs on hosts, members and volumes. The help of each says what it proves and what it risks.

use clap::{Args, Subcommand};

use super::FormatArgs;

/// `berth host`.
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// Show the hosts, whether each is in contact, and its members.
    List(FormatArgs),
    /// Keep new members away from a host.
    ///
    /// Members that are there stay and run on. One that is restarted goes to another host if
    /// nothing holds it; one whose local volume is there comes back there, cordoned or not: a cordon
    /// keeps new members away, not those that live there by their data. It proves nothing about
    /// what runs on the host, and risks nothing. It lasts until `berth host uncordon`.
    Cordon(HostVerbArgs),
    /// Let members come to a host again.
    Uncordon(HostVerbArgs),
}

/// A host.
#[derive(Debug, Args)]
pub(crate) struct HostVerbArgs {
    /// The host, such as host-1.
    pub(crate) host: String,
}

/// `berth member`.
#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// Stop a member and have it placed and started anew.
    ///
    /// It is stopped when the others are available (at once if it is not ready itself), its agent
    /// proves it gone, and only then it gets a new epoch: at no time it runs twice. It comes back
    /// on its host; if that host is cordoned, on another one, unless its local volume is there.
    /// Risks: the set does without the member for as long as it takes. Refused while its host is
    /// out of contact, because nothing could prove it gone. For processes that only need a new
    /// start on the spot, `berth local restart` on the host is quicker.
    Restart(RestartArgs),
    /// Have a member begin anew on fresh volumes.
    ///
    /// Asks for its name, because its data goes: it is stopped when the others are available (at
    /// once if it is not ready itself), its agent proves it gone, its claims are deleted, and it
    /// comes back with new ones, on any host that fits, as one that joins and never as a founder.
    /// What Berth made of its data goes to the trash and comes back with `berth volume undelete`
    /// until its time there is over. Frees a member whose disk is lost (FoundingDiskLost,
    /// VolumeEmpty). Risks: the application must let it join and copy its data from the others.
    /// Refused while its host is out of contact, because nothing could prove it gone.
    Replace(ReplaceArgs),
}

/// `berth member replace`.
#[derive(Debug, Args)]
pub(crate) struct ReplaceArgs {
    /// The member, such as etcd-0.
    pub(crate) member: String,
    /// Says that its data is to go: without it nothing is replaced.
    #[arg(long, required = true)]
    pub(crate) new_volume: bool,
    /// Confirms that the data of the member with this name goes.
    #[arg(long, visible_alias = "confirm", value_name = "NAME")]
    pub(crate) yes_i_mean: Option<String>,
}

/// `berth set`.
#[derive(Debug, Subcommand)]
pub(crate) enum SetCommand {
    /// Have a set begin anew: all its data goes, and it is founded again.
    ///
    /// Asks for its name. Its members stop, the highest first; their claims are deleted when they
    /// are proven gone, and what Berth made of the data goes to the trash; who founded the set is
    /// forgotten, and it is founded again on fresh volumes. For a set whose founding failed
    /// (FoundingDiskLost on most members), or whose data is of no use any more. Proves that no
    /// member runs on the data. Risks: the cluster that comes up knows nothing of the old one.
    Refound(RefoundArgs),
}

/// `berth set refound`.
#[derive(Debug, Args)]
pub(crate) struct RefoundArgs {
    /// NAME, or sts/NAME.
    pub(crate) set: String,
    /// Confirms that all data of the set with this name goes.
    #[arg(long, visible_alias = "confirm", value_name = "NAME")]
    pub(crate) yes_i_mean: Option<String>,
}

/// `berth member restart`.
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// The member, such as etcd-0.
    pub(crate) member: String,
    /// Do it, although the member stops.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// `berth volume`.
#[derive(Debug, Subcommand)]
pub(crate) enum VolumeCommand {
    /// Show the volumes: whose each is, where its data lies, and how full it is.
    List(VolumeListArgs),
    /// Show all there is to know about one volume.
    Describe(VolumeVerbArgs),
    /// Let the data that is on a volume become its claim's.
    ///
    /// A claim that gets a volume for the first time wants it empty; its member waits with
    /// VolumeNotEmpty else. This verb says that what is there is meant: for the claim that the
    /// volume is bound to, or else for the next one. Proves that no member was started on it under
    /// that claim yet. Risks: whoever's the data was, the member starts on it and may change it.
    Adopt(VolumeVerbArgs),
    /// Untie a volume from its claim that is gone, so that another claim may have it.
    ///
    /// What `kubectl patch pv NAME` with an emptied claimRef does. Proves that the claim does not
    /// exist: a volume that is bound is refused. Deletes nothing: the next claim finds the data, and
    /// starts on it only after `berth volume adopt`. Risks: `berth volume undelete` cannot bring
    /// the old claim back any more.
    Release(VolumeVerbArgs),
    /// Move a volume that a class made, and that no claim has, to the trash.
    ///
    /// Asks for its name. The data stays in the trash of its pool or export until the time that the
    /// coordinator is configured with is over (`trash.keep`, 7 days if it is not said), and comes
    /// back with `berth volume undelete` until then. A volume that an operator made is refused, its data is not
    /// Berth's: `berth delete pv/NAME` forgets it and leaves the data where it is.
    Delete(VolumeDeleteArgs),
    /// Bring a deleted volume back, and the claim that it had.
    ///
    /// For volumes in the trash, and for those whose claim was deleted and that were kept. The
    /// claim comes back under its name, with its id and its binding, so that its member finds its
    /// data as it was. Refused if another claim has that name by now. Risks nothing.
    Undelete(VolumeVerbArgs),
}

/// `berth volume list`.
#[derive(Debug, Args)]
pub(crate) struct VolumeListArgs {
    /// Those in the trash, or on their way there or back.
    #[arg(long)]
    pub(crate) trash: bool,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// A volume.
#[derive(Debug, Args)]
pub(crate) struct VolumeVerbArgs {
    /// The volume, as `berth volume list` names it.
    pub(crate) volume: String,
}

/// `berth volume delete`.
#[derive(Debug, Args)]
pub(crate) struct VolumeDeleteArgs {
    /// The volume, as `berth volume list` names it.
    pub(crate) volume: String,
    /// Confirms the deletion of the volume with this name.
    #[arg(long, visible_alias = "confirm", value_name = "NAME")]
    pub(crate) yes_i_mean: Option<String>,
}
