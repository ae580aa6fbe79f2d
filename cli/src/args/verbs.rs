//! Verbs on hosts, members and volumes. The help of each says what it proves and what it risks.

use clap::{Args, Subcommand};

use super::{DnsArgs, FormatArgs, Limit};

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
    /// Let members come to a host again, and end its drain.
    ///
    /// Members that a drain stopped, and that live there by their data, start again.
    Uncordon(HostVerbArgs),
    /// Have the members of a host leave it, and keep new ones away.
    ///
    /// Each member is stopped when the disruption budget of its set allows, and placed on another
    /// host; one that no other host can take is not stopped. Those whose local data is there stay
    /// and are listed, and the command ends with code 1; with --stop-pinned they are stopped too,
    /// and stay down until `berth host uncordon`. Code 0 proves that no member of Berth runs on the
    /// host. Risks: the sets do without a member each while it moves. The drain goes on when the
    /// command is interrupted or its time is up, and lasts until `berth host uncordon`.
    Drain(DrainArgs),
    /// Set labels of a host (KEY=VALUE), or take them away (KEY-).
    ///
    /// They win over those of the agent's configuration, until the two say the same. Members stay
    /// where they are, whatever the labels, except those of sets with placement: PerHost, which
    /// stop where the label is taken away; that needs --yes.
    Label(LabelArgs),
    /// Whether this host itself resolves the names of members.
    ///
    /// Acts on the host where it is run, as root, and asks its agent; no coordinator is needed.
    Dns(DnsArgs),
    /// Say that a host that is out of contact is dead, so that its members may run elsewhere.
    ///
    /// Asks for its name. It proves to Berth that nothing of what the host had runs, nor ever will:
    /// you are the proof. Say it only when the machine is off and stays off, or its disk is gone.
    /// Members without data on it are placed on other hosts at once; one whose data is there waits
    /// for `berth member replace --new-volume`, or for the host. Risks: if the machine runs after all,
    /// or is switched on again before its network is cut, members run twice, and what has no volume
    /// to guard it may be damaged. If it comes back, its agent stops what it has, and it takes no
    /// members until `berth host uncordon`.
    ConfirmDead(LostHostArgs),
    /// Forget a host that is out of contact and has neither members nor data of claims.
    ///
    /// Asks for its name. It proves nothing and stops nothing: an agent that comes back under the
    /// name joins as a new host. Risks: volumes of nobody that are left on it are forgotten.
    Remove(LostHostArgs),
}

/// `berth host confirm-dead` and `berth host remove`.
#[derive(Debug, Args)]
pub(crate) struct LostHostArgs {
    /// The host, such as host-1.
    pub(crate) host: String,
    /// Confirms it for the host with this name.
    #[arg(long, visible_alias = "confirm", value_name = "NAME")]
    pub(crate) yes_i_mean: Option<String>,
}

/// `berth host drain`.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// The host, such as host-1.
    pub(crate) host: String,
    /// Stop members that live there by their data, too.
    #[arg(long)]
    pub(crate) stop_pinned: bool,
    /// Do it, although members stop.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Show what would become of each member, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Wait no longer than this for the members to leave, such as 90s or 5m.
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Limit>,
}

/// `berth host label`.
#[derive(Debug, Args)]
pub(crate) struct LabelArgs {
    /// The host, such as host-1.
    pub(crate) host: String,
    /// KEY=VALUE sets a label, KEY- takes it away.
    #[arg(required = true, value_name = "LABEL")]
    pub(crate) labels: Vec<String>,
    /// Do it even if members stop.
    #[arg(short, long)]
    pub(crate) yes: bool,
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
    /// Stop a member and keep it down, whatever is applied, until `berth member online`.
    ///
    /// It is stopped when the disruption budget of its set allows (at once if it is not ready), and
    /// counts as down from then on. It keeps its name, its host and its volumes, and holds no other
    /// member of its set back. It proves nothing about its data. Risks: one member fewer.
    Offline(OfflineArgs),
    /// Let a member that was taken offline start again.
    Online(OnlineArgs),
    /// Set a condition of a member, for its readiness gates.
    ///
    /// A member whose template has `readinessGates` is ready when its processes are and every such
    /// condition is True. A condition ends with the member's epoch: after an update, a restart or a
    /// move it is to be set again. Nothing that runs is touched; a gate that is shut takes the
    /// member out of the lists of its services, and what waits for it goes on waiting.
    ///
    /// For example: berth member condition etcd-0 example.com/registered=True
    Condition(ConditionArgs),
    /// Have a member go to another host, with its local data.
    ///
    /// It is stopped when the others are available (at once if it is not ready itself) and the host
    /// can take it, and its agent proves it gone. Then its local data is copied while nobody runs on
    /// it, and compared byte for byte; it starts there only when all of it is there. Until then its
    /// data stays where it was, and `--cancel` brings the member back to it, as does a copy that fails
    /// again and again. The old data goes to the trash, and is kept at least until the member was
    /// started on the new one. Data on a server is not copied: the member only starts elsewhere.
    /// Risks: the set does without the member until the copy is complete; `berth status` shows how
    /// far it is. Refused while its host is out of contact.
    Move(MoveArgs),
    /// Have a member placed on another host, or begin anew on fresh volumes.
    ///
    /// Without `--new-volume` it keeps its volumes, so they must be ones that every host reaches: it
    /// is stopped when the others are available, proven gone, and started on whichever other host
    /// fits best. For local data see `berth member move`.
    ///
    /// With `--new-volume` it asks for its name, because its data goes: it is stopped when the others are available (at
    /// once if it is not ready itself), its agent proves it gone, its claims are deleted, and it
    /// comes back with new ones, on any host that fits, as one that joins and never as a founder.
    /// What Berth made of its data goes to the trash and comes back with `berth volume undelete`
    /// until its time there is over. Frees a member whose disk is lost (FoundingDiskLost,
    /// VolumeEmpty). Risks: the application must let it join and copy its data from the others.
    /// Refused while its host is out of contact, because nothing could prove it gone.
    Replace(ReplaceArgs),
    /// Place a member anew although nothing proves that it does not run on its host any more.
    ///
    /// Asks for its full name, NAMESPACE/MEMBER. For a member whose host is out of contact, when you
    /// know that this member does not run: `berth host confirm-dead` is for a whole host. It proves
    /// nothing, and at-most-one holds only as far as you are right. Risks: two of the member run at
    /// once, and damage each other's data on shared storage. When its host comes back, its agent
    /// stops the old one.
    Force(ForceArgs),
}

/// `berth member force`.
#[derive(Debug, Args)]
pub(crate) struct ForceArgs {
    /// The member, such as etcd-0.
    pub(crate) member: String,
    /// Confirms it for the member with this full name, such as default/etcd-0.
    #[arg(long, visible_alias = "confirm", value_name = "NAMESPACE/NAME")]
    pub(crate) yes_i_mean: Option<String>,
}

/// `berth member offline`.
#[derive(Debug, Args)]
pub(crate) struct OfflineArgs {
    /// The member, such as etcd-0.
    pub(crate) member: String,
    /// Do it, although the member stops.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Why, for those who read the status.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    pub(crate) reason: String,
}

/// `berth member online`.
#[derive(Debug, Args)]
pub(crate) struct OnlineArgs {
    /// The member, such as etcd-0.
    pub(crate) member: String,
}

/// `berth member condition`.
#[derive(Debug, Args)]
pub(crate) struct ConditionArgs {
    /// The member, such as etcd-0.
    pub(crate) member: String,
    /// The condition and whether it holds: TYPE=True or TYPE=False.
    #[arg(value_parser = parse_condition)]
    pub(crate) condition: (String, bool),
    /// Why, for whoever reads `berth status`.
    #[arg(long, default_value_t)]
    pub(crate) reason: String,
}

fn parse_condition(text: &str) -> Result<(String, bool), String> {
    let (name, status) = text
        .split_once('=')
        .ok_or("write TYPE=True or TYPE=False")?;
    let status = match status.to_ascii_lowercase().as_str() {
        "true" => true,
        "false" => false,
        _ => {
            return Err(format!(
                "'{status}' is neither True nor False; write one of them"
            ));
        }
    };
    Ok((name.to_owned(), status))
}

/// `berth member replace`.
#[derive(Debug, Args)]
pub(crate) struct ReplaceArgs {
    /// The member, such as etcd-0.
    pub(crate) member: String,
    /// Says that its data is to go, and that it begins anew.
    #[arg(long)]
    pub(crate) new_volume: bool,
    /// Do it, although the member stops; for a member that keeps its volumes.
    #[arg(short, long, conflicts_with = "new_volume")]
    pub(crate) yes: bool,
    /// Confirms that the data of the member with this name goes.
    #[arg(
        long,
        visible_alias = "confirm",
        value_name = "NAME",
        requires = "new_volume"
    )]
    pub(crate) yes_i_mean: Option<String>,
}

/// `berth member move`.
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// The member, such as etcd-0.
    pub(crate) member: String,
    /// The host that it is to go to.
    #[arg(
        long,
        value_name = "HOST",
        required_unless_present = "cancel",
        conflicts_with = "cancel"
    )]
    pub(crate) to: Option<String>,
    /// Give the move up: the member goes back to where its data is.
    #[arg(long)]
    pub(crate) cancel: bool,
    /// Do it, although the member stops.
    #[arg(short, long)]
    pub(crate) yes: bool,
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
