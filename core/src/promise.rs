//! The promises of the design, by their numbers: what the checker's rules, the simulator's truth and the
//! planted bugs say which one they are about.

use std::fmt;

/// One promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// I1: a member keeps its name, volumes and address.
    Identity,
    /// I2: at most one epoch of a member runs.
    AtMostOne,
    /// I3: decided starts and stops have an order.
    Order,
    /// I4: no byte is lost, and no volume is a wrong one.
    Data,
    /// I5: the loss of the coordinator stops nothing.
    Autonomy,
    /// I6: what was acknowledged is durable.
    Durability,
    /// I7: a cluster is founded once.
    FoundedOnce,
    /// I8: one disruption budget.
    Floor,
    /// I9: names before processes.
    NamesFirst,
}

impl Promise {
    /// All of them that can be broken by what happens; that every wait is explained (I10) is what a
    /// cluster that rests is held against.
    pub const ALL: [Self; 9] = [
        Self::Identity,
        Self::AtMostOne,
        Self::Order,
        Self::Data,
        Self::Autonomy,
        Self::Durability,
        Self::FoundedOnce,
        Self::Floor,
        Self::NamesFirst,
    ];

    /// The number in the design.
    pub fn number(self) -> &'static str {
        match self {
            Self::Identity => "I1",
            Self::AtMostOne => "I2",
            Self::Order => "I3",
            Self::Data => "I4",
            Self::Autonomy => "I5",
            Self::Durability => "I6",
            Self::FoundedOnce => "I7",
            Self::Floor => "I8",
            Self::NamesFirst => "I9",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}
