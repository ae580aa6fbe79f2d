//! Written histories: one command a line, and a transcript of what came of it. `#` begins a comment.
//! [`COMMANDS`] lists them.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use thiserror::Error;

use crate::{
    ids::{HostName, MemberId, SetKey},
    sim::{Freeze, Violation, World, operator::SetOptions},
    spec::{
        Amount, Dependency, GatePolicy, LeaseClass, Retention, Spread, UpdateKind,
        WhenUnsatisfiable,
    },
    state::Fences,
};

/// The commands, as they are shown to who writes a script.
pub const COMMANDS: &str = "\
hosts 3                      three hosts, host-1 to host-3, at 10.0.0.1 and on
pool NAME CIDR               a default address pool
class                        a class `nfs` that makes directories on a server
volume NAME MEMBER           a volume by hand, of class `hand`, for the claim of a member
claim NAME CLASS             a claim by hand; of class `hand` it asks for its member's volume
set NAME KEY[=VALUE]...      replicas policy bootstrap cold spread port minReady pool revision
                             class shared start update failover partition maxUnavailable minAvailable
                             deadline whenDeleted whenScaled needs; words: claim fixed quorum
                             autoRollback paused
change NAME KEY[=VALUE]...   the same of a set that is there; paused=no
scale NAME N                 update NAME                    delete NAME
orphan NAME (its members stay)   refound NAME              replace MEMBER (on fresh volumes)
restart MEMBER
run SECONDS                  settle SECONDS (at most)       show
kill process MEMBER          kill keeper MEMBER
crash coordinator|agent HOST|host HOST SECONDS              cut HOST SECONDS
stall HOST to|from SECONDS   fail ledger HOST (the next write; its agent ends)
lose HOST (with its disk)    confirm HOST (dead)            return HOST (another machine)
freeze HOST SECONDS (its agent)                             sleep HOST SECONDS (all of it)
hang MEMBER SECONDS (whoever kills it)                      clock HOST SECONDS (is set by)
means HOST [reboot] [power] [storage] (what makes sure that it holds nothing)
force MEMBER                 backup                         restore SECONDS (until it is up)
accept (the restore)
break MEMBER (never ready)   mend MEMBER                    cordon HOST / uncordon HOST";

/// Why a script cannot be played.
#[derive(Debug, Error)]
pub enum ScriptError {
    /// A line is not a command.
    #[error("line {line}: '{text}' is no command; `berth debug simulate --help` lists them")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// A promise was broken.
    #[error(transparent)]
    Violation(#[from] Violation),
}

/// Plays a script; the transcript.
///
/// # Errors
/// A line that is no command, or a promise that was broken.
pub fn play(script: &str) -> Result<String, ScriptError> {
    let mut player = Player {
        world: World::new(0, false),
        sets: BTreeMap::new(),
        transcript: String::new(),
        told: 0,
    };
    for (index, text) in script.lines().enumerate() {
        let command = text.split('#').next().unwrap_or_default().trim();
        if command.is_empty() {
            continue;
        }
        player.line(&format!("> {command}"));
        let words: Vec<&str> = command.split_whitespace().collect();
        if player.command(&words)?.is_none() {
            return Err(ScriptError::Line {
                line: index + 1,
                text: text.to_owned(),
            });
        }
        player.tell_news();
    }
    Ok(player.transcript)
}

struct Player {
    world: World,
    sets: BTreeMap<SetKey, SetOptions>,
    transcript: String,
    /// So many lines of the log are in the transcript.
    told: usize,
}

impl Player {
    fn line(&mut self, text: &str) {
        self.transcript.push_str(text);
        self.transcript.push('\n');
    }

    fn tell_news(&mut self) {
        let news: Vec<String> = self.world.log.iter().skip(self.told).cloned().collect();
        self.told += news.len();
        for line in news {
            self.line(&line);
        }
    }

    /// Carries out a command; `None` if it is none.
    fn command(&mut self, words: &[&str]) -> Result<Option<()>, Violation> {
        match words {
            ["run", time] => {
                let Some(time) = seconds(time) else {
                    return Ok(None);
                };
                self.world.run(time)?;
                Ok(Some(()))
            }
            ["hosts", count] => {
                if self.hosts(count).is_none() {
                    return Ok(None);
                }
                // All agents are in contact before anything else happens.
                self.world.run(Duration::from_millis(100))?;
                Ok(Some(()))
            }
            ["settle", time] => {
                let Some(time) = seconds(time) else {
                    return Ok(None);
                };
                let rests = self.world.settle(time)?;
                self.tell_news();
                let at = self.world.seconds();
                self.line(if rests { "  settled" } else { "  not settled" });
                self.line(&format!("  at {at} s"));
                Ok(Some(()))
            }
            ["show"] => {
                for line in self.world.show() {
                    self.line(&format!("  {line}"));
                }
                Ok(Some(()))
            }
            _ => Ok(self
                .change(words)
                .or_else(|| self.host_verb(words))
                .or_else(|| self.fault(words))),
        }
    }

    /// What an operator does.
    fn change(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["hosts", count] => self.hosts(count)?,
            ["pool", name, cidr] => self.world.put_pool(&key(name)?, cidr, true),
            ["class"] => self.world.put_class(),
            ["volume", name, member] => self.world.put_volume(name, member),
            ["claim", name, class] => self.world.put_claim(&key(name)?, class),
            ["set", name, options @ ..] => {
                let mut set = SetOptions::default();
                for option in options {
                    read_option(&mut set, option)?;
                }
                self.put(&key(name)?, set);
            }
            ["change", name, options @ ..] => {
                let key = key(name)?;
                let mut set = self.sets.get(&key)?.clone();
                for option in options {
                    read_option(&mut set, option)?;
                }
                self.put(&key, set);
            }
            ["scale", name, replicas] => {
                let key = key(name)?;
                let mut set = self.sets.get(&key)?.clone();
                set.replicas = replicas.parse().ok()?;
                self.put(&key, set);
            }
            ["reserve", name, ordinals] => {
                let key = key(name)?;
                let mut set = self.sets.get(&key)?.clone();
                read_option(&mut set, &format!("reserved={ordinals}"))?;
                self.put(&key, set);
            }
            ["special", name, ordinal] => {
                let key = key(name)?;
                let mut set = self.sets.get(&key)?.clone();
                set.special = Some(ordinal.parse().ok()?);
                self.put(&key, set);
            }
            ["update", name] => {
                let key = key(name)?;
                let mut set = self.sets.get(&key)?.clone();
                set.revision += 1;
                self.put(&key, set);
            }
            ["restart", id] => self.world.restart(&member(id)?),
            ["delete", name] => self.world.delete_set(&key(name)?),
            ["offline", id] => self.world.offline(&member(id)?, true),
            ["online", id] => self.world.offline(&member(id)?, false),
            ["orphan", name] => self.world.orphan_set(&key(name)?),
            ["refound", name] => self.world.give_up(&key(name)?, None),
            ["replace", id] => {
                let id = member(id)?;
                self.world.give_up(&id.set, Some(&id));
            }
            ["force", id] => self.world.force(&member(id)?),
            ["backup"] => self.world.back_up(),
            ["accept"] => self.world.accept_restore(),
            _ => return None,
        }
        Some(())
    }

    /// What an operator does to hosts.
    fn host_verb(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["drain", host] => self.world.drain(&name(host)?, true, false),
            ["drain", host, "pinned"] => self.world.drain(&name(host)?, true, true),
            ["undrain", host] => self.world.drain(&name(host)?, false, false),
            ["rack", host, rack] => self.world.rack(&name(host)?, Some(*rack)),
            ["norack", host] => self.world.rack(&name(host)?, None),
            ["confirm", host] => self.world.confirm_dead(&name(host)?),
            ["return", host] => self.world.replace_machine(&name(host)?),
            ["means", host, words @ ..] => {
                let fences = Fences {
                    power: words.contains(&"power"),
                    storage: words.contains(&"storage"),
                };
                self.world
                    .equip(&name(host)?, words.contains(&"reboot"), fences);
            }
            ["cordon", host] => self.world.cordon(&host.parse().ok()?, true),
            ["uncordon", host] => self.world.cordon(&host.parse().ok()?, false),
            _ => return self.moves(words),
        }
        Some(())
    }

    /// Who goes to another host.
    fn moves(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["move", id, host] => self.world.move_member(&member(id)?, Some(&name(host)?)),
            ["move", id] => self.world.move_member(&member(id)?, None),
            ["stay", id] => self.world.stay(&member(id)?),
            _ => return None,
        }
        Some(())
    }

    fn hosts(&mut self, count: &str) -> Option<()> {
        for n in 1..=count.parse::<u8>().ok()? {
            let address = Ipv4Addr::new(10, 0, 0, n).into();
            self.world
                .add_host(&format!("host-{n}").parse().ok()?, address);
        }
        Some(())
    }

    fn put(&mut self, key: &SetKey, set: SetOptions) {
        self.world.put_set(key, &set);
        self.sets.insert(key.clone(), set);
    }

    /// What goes wrong.
    fn fault(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["freeze", host, time] => {
                self.world
                    .freeze(&name(host)?, Freeze::Agent, seconds(time)?);
            }
            ["sleep", host, time] => {
                self.world
                    .freeze(&name(host)?, Freeze::Host, seconds(time)?);
            }
            ["hang", id, time] => self.world.jam(&member(id)?, seconds(time)?),
            ["clock", host, by] => {
                let by: i64 = by.parse().ok()?;
                self.world.set_clock(&name(host)?, by.saturating_mul(1000));
            }
            ["kill", "process", id] => self.world.kill_process(&member(id)?),
            ["kill", "keeper", id] => self.world.kill_keeper(&member(id)?),
            ["crash", "coordinator", time] => self.world.crash_coordinator(seconds(time)?),
            ["crash", "agent", host, time] => self.world.crash_agent(&name(host)?, seconds(time)?),
            ["crash", "host", host, time] => self.world.crash_host(&name(host)?, seconds(time)?),
            ["lose", host] => self.world.lose_host(&name(host)?),
            ["restore", time] => self.world.restore_backup(seconds(time)?),
            ["cut", host, time] => self.world.cut_link(&name(host)?, seconds(time)?),
            ["stall", host, way @ ("to" | "from"), time] => {
                self.world
                    .stall_link(&name(host)?, *way == "to", seconds(time)?);
            }
            ["fail", "ledger", host] => self.world.fail_sync(&name(host)?, false),
            ["break", id] => {
                self.world.broken.insert(member(id)?);
            }
            ["mend", id] => {
                self.world.broken.remove(&member(id)?);
            }
            _ => return None,
        }
        Some(())
    }
}

fn key(name: &str) -> Option<SetKey> {
    format!("default/{name}").parse().ok()
}

fn member(name: &str) -> Option<MemberId> {
    format!("default/{name}").parse().ok()
}

fn name(host: &str) -> Option<HostName> {
    host.parse().ok()
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn policy(text: &str) -> Option<GatePolicy> {
    match text {
        "OrderedReady" => Some(GatePolicy::OrderedReady),
        "OrderedStarted" => Some(GatePolicy::OrderedStarted),
        "Parallel" => Some(GatePolicy::Parallel),
        _ => None,
    }
}

fn update(text: &str) -> Option<UpdateKind> {
    match text {
        "RollingUpdate" => Some(UpdateKind::RollingUpdate),
        "OnDelete" => Some(UpdateKind::OnDelete),
        "Recreate" => Some(UpdateKind::Recreate),
        _ => None,
    }
}

fn class(text: &str) -> Option<LeaseClass> {
    match text {
        "Default" => Some(LeaseClass::Default),
        "Fast" => Some(LeaseClass::Fast),
        _ => None,
    }
}

fn amount(text: &str) -> Amount {
    text.parse()
        .map_or_else(|_| Amount::of_text(text), Amount::Number)
}

fn read_option(set: &mut SetOptions, option: &str) -> Option<()> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    match name {
        "replicas" => set.replicas = value.parse().ok()?,
        "policy" => set.policy = policy(value)?,
        "bootstrap" => set.bootstrap = Some(policy(value)?),
        "cold" => set.cold = Some(policy(value)?),
        "port" => set.port = Some(value.parse().ok()?),
        "minReady" => set.min_ready = value.parse().ok()?,
        "revision" => set.revision = value.parse().ok()?,
        "pool" => set.pool = Some(value.to_owned()),
        "class" => set.class = Some(value.to_owned()),
        "shared" => set.shared = Some(value.to_owned()),
        "start" => set.start = value.parse().ok()?,
        "update" => set.update = update(value)?,
        "partition" => set.partition = value.parse().ok()?,
        "maxUnavailable" => set.max_unavailable = Some(amount(value)),
        "minAvailable" => set.min_available = Some(amount(value)),
        "failover" => set.failover = Some(class(value)?),
        "deadline" => set.deadline = Some(value.parse().ok()?),
        "autoRollback" => set.auto_rollback = true,
        "paused" => set.paused = value != "no",
        "whenDeleted" if value == "Delete" => set.retention.when_deleted = Retention::Delete,
        "whenScaled" if value == "Delete" => set.retention.when_scaled = Retention::Delete,
        "needs" => {
            set.needs = Some(Dependency {
                set: value.to_owned(),
                ..Dependency::default()
            });
        }
        "spread" if value == "Prefer" => set.spread = Spread::Prefer,
        "reserved" => {
            let all = value.split(',').map(str::parse);
            set.reserved = all.collect::<Result<_, _>>().ok()?;
        }
        "special" => set.special = Some(value.parse().ok()?),
        "perHost" => set.per_host = true,
        "racks" if value == "strict" => set.racks = Some(WhenUnsatisfiable::DoNotSchedule),
        "racks" => set.racks = Some(WhenUnsatisfiable::ScheduleAnyway),
        "claim" => set.claim = true,
        "fixed" => set.fixed = true,
        "quorum" => set.quorum = true,
        _ => return None,
    }
    Some(())
}
