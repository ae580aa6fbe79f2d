//! Addresses: one per ordinal from a pool, kept for as long as the set exists; without a pool the
//! host's own.

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    bug::{self, Bug},
    ids::{ObjectKey, Ordinal},
    plan::draft::Draft,
    spec::AddressPool,
    state::{Host, Set, State},
    waiting::Reason,
};

/// The first addresses of a large pool are left to hosts.
const FOR_HOSTS: u32 = 256;
/// A pool with a prefix of at most this is large.
const LARGE_PREFIX: u32 = 16;

/// Where the address of an ordinal comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// It owns this one already.
    Owned(IpAddr),
    /// It takes this one from its pool.
    Taken(IpAddr),
    /// It has its host's.
    Host,
}

impl Source {
    /// The address on a host.
    pub(super) fn on(self, host: &Host) -> IpAddr {
        match self {
            Self::Owned(address) | Self::Taken(address) => address,
            Self::Host => host.record.advertise_address,
        }
    }
}

/// Where an ordinal's address comes from.
///
/// # Errors
/// The pool does not exist, or has no free address.
pub(super) fn source(draft: &Draft, set: &Set, ordinal: Ordinal) -> Result<Source, Reason> {
    let owned = set.addresses.get(&ordinal);
    if let Some(owned) = owned.filter(|_| !bug::on(Bug::AddressTakenAnew)) {
        return Ok(Source::Owned(*owned));
    }
    let Some((name, pool)) = pool(&draft.state, set)? else {
        return Ok(Source::Host);
    };
    match free(&draft.state, pool) {
        Some(address) => Ok(Source::Taken(address.into())),
        None => Err(Reason::AddressPoolExhausted { pool: name }),
    }
}

/// The set's pool: the one that it names, else the default one, if there is one.
fn pool<'a>(state: &'a State, set: &Set) -> Result<Option<(String, &'a AddressPool)>, Reason> {
    let named = |(key, pool): (&ObjectKey, &'a AddressPool)| (key.name.to_string(), pool);
    let mut pools = state.address_pools.iter();
    match &set.spec.address_pool {
        Some(wanted) => {
            let found = pools.find(|(key, _)| key.name.as_str() == wanted);
            let missing = || Reason::AddressPoolMissing {
                pool: wanted.clone(),
            };
            found.map(named).ok_or_else(missing).map(Some)
        }
        None => Ok(pools.find(|(_, pool)| pool.spec.default).map(named)),
    }
}

/// The lowest address of a pool that nobody has.
fn free(state: &State, pool: &AddressPool) -> Option<Ipv4Addr> {
    let (network, prefix) = range(&pool.spec.cidr)?;
    let size = 1_u64 << (32 - prefix);
    // Small ranges have no network and broadcast address to spare (RFC 3021).
    let (first, last) = match size {
        1 | 2 => (0, size - 1),
        _ if prefix <= LARGE_PREFIX => (u64::from(FOR_HOSTS), size - 2),
        _ => (1, size - 2),
    };
    let at = |offset: u64| network.to_bits().checked_add(u32::try_from(offset).ok()?);
    let found = state.index().taken.free_from(at(first)?)?;
    (found <= at(last)?).then(|| Ipv4Addr::from_bits(found))
}

/// The network and the prefix of a range; `None` for what validation would have refused.
fn range(cidr: &str) -> Option<(Ipv4Addr, u32)> {
    let (address, prefix) = cidr.split_once('/')?;
    let address: Ipv4Addr = address.parse().ok()?;
    let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
    let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
    Some((Ipv4Addr::from_bits(address.to_bits() & mask), prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{NOW, host_name, key, pool, put_set, spec, state};

    fn first_free(cidr: &str, taken: &[&str]) -> Option<String> {
        let mut state = state(0);
        put_set(&mut state, "db", spec(0, false));
        let set = state.sets.get_mut(&key("db")).unwrap();
        let taken = taken.iter().map(|text| text.parse::<IpAddr>().unwrap());
        set.addresses = (0..).map(Ordinal).zip(taken).collect();
        let mut pool = AddressPool::default();
        pool.spec.cidr = cidr.to_owned();
        free(&state, &pool).map(|address| address.to_string())
    }

    #[test]
    fn the_lowest_free_address_is_taken_and_never_network_or_broadcast() {
        assert_eq!(first_free("10.1.2.0/24", &[]).unwrap(), "10.1.2.1");
        assert_eq!(
            first_free("10.1.2.9/24", &["10.1.2.1"]).unwrap(),
            "10.1.2.2"
        );
        assert_eq!(
            first_free("10.0.0.0/30", &["10.0.0.1"]).unwrap(),
            "10.0.0.2"
        );
        assert_eq!(first_free("10.0.0.0/30", &["10.0.0.1", "10.0.0.2"]), None);
        assert_eq!(first_free("10.0.0.7/32", &[]).unwrap(), "10.0.0.7");
    }

    #[test]
    fn the_start_of_a_large_pool_is_left_to_hosts() {
        assert_eq!(first_free("127.77.0.0/16", &[]).unwrap(), "127.77.1.0");
        assert_eq!(first_free("127.0.0.0/8", &[]).unwrap(), "127.0.1.0");
    }

    #[test]
    fn no_text_makes_it_fail() {
        for cidr in ["", "x", "1.2.3.4", "1.2.3.4/33", "1.2.3.4/-1", "::/64"] {
            assert_eq!(first_free(cidr, &[]), None, "{cidr}");
        }
        assert!(first_free("255.255.255.255/32", &[]).is_some());
        assert!(first_free("0.0.0.0/0", &[]).is_some());
    }

    #[test]
    fn a_set_takes_from_the_pool_it_names_else_from_the_default_one() {
        let mut state = state(1);
        put_set(&mut state, "db", spec(1, false));
        let source_of = |state: &State, named: Option<&str>| {
            let draft = Draft::new(state, NOW);
            let mut set = state.sets[&key("db")].clone();
            let mut spec = (*set.spec).clone();
            spec.address_pool = named.map(str::to_owned);
            set.spec = spec.into();
            source(&draft, &set, Ordinal(0))
        };
        assert_eq!(source_of(&state, None), Ok(Source::Host));
        let own = Source::Host.on(&state.hosts[&host_name(1)]);
        assert_eq!(own.to_string(), "10.0.0.1");

        pool(&mut state, "other", "10.0.0.0/24", false);
        assert_eq!(source_of(&state, None), Ok(Source::Host));
        let second: IpAddr = "10.0.0.2".parse().unwrap();
        assert_eq!(
            source_of(&state, Some("other")),
            Ok(Source::Taken(second)),
            "the first one is a host's"
        );
        pool(&mut state, "std", "10.9.0.0/24", true);
        let first: IpAddr = "10.9.0.1".parse().unwrap();
        assert_eq!(source_of(&state, None), Ok(Source::Taken(first)));
        let missing = Reason::AddressPoolMissing {
            pool: "gone".to_owned(),
        };
        assert_eq!(source_of(&state, Some("gone")), Err(missing));
    }
}
