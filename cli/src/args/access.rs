//! `berth admin token`, `berth admin user` and `berth config`.

use std::{net::SocketAddr, path::PathBuf};

use berth_core::access::Role;
use clap::{Args, Subcommand};

use super::{FormatArgs, Limit};

/// `berth admin token`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, with which one machine can join as a host.
    ///
    /// Prints the token, and nothing else: it is shown this once. On the machine, run `berth-agent join
    /// ADDRESS TOKEN`. The token carries the hash of this cluster's authority, so that the machine tells
    /// nobody else of it. Without --host it is good for a host that is not known yet; with it, for that
    /// one, also if it was there before: whoever has the token can be that host.
    Create(TokenCreateArgs),
    /// Show the tokens that there are, and who joined with which.
    List(FormatArgs),
    /// Have a token be good for nothing.
    Delete {
        /// Its id, as `berth admin token list` shows it.
        id: String,
    },
}

/// `berth admin token create`.
#[derive(Debug, Args)]
pub(crate) struct TokenCreateArgs {
    /// How long it is good: 15m, 1h; 24h at most.
    #[arg(long, default_value = "1h", value_name = "TIME")]
    pub(crate) ttl: Limit,
    /// The one host that it is for.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
}

/// `berth admin user`.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make an operator, and a context with which he works.
    ///
    /// His key is made here, and certified by the coordinator. The context is one file, for its owner
    /// only: give it to him with --file, and he takes it with `berth config add FILE`. Without --file it
    /// is added to your own. With --namespace (several with commas between) he sees and does nothing
    /// elsewhere.
    Create(UserCreateArgs),
    /// Show the operators.
    List(FormatArgs),
    /// Forget an operator; his certificates are refused at once.
    Delete {
        /// His name.
        name: String,
    },
}

/// `berth admin user create`.
#[derive(Debug, Args)]
pub(crate) struct UserCreateArgs {
    /// His name.
    pub(crate) name: String,
    /// What he may do: viewer (looks), operator (works with objects and members) or admin (everything,
    /// with hosts, users and the store).
    #[arg(long)]
    pub(crate) role: Role,
    /// Where he reaches the coordinator; where you do, if that is no socket.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) server: Option<SocketAddr>,
    /// Where to write his context, instead of adding it to your own.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Take the place of an operator of this name, whose certificates are refused from now on.
    #[arg(long)]
    pub(crate) replace: bool,
}

/// `berth config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show the contexts; the one in use has a star.
    #[command(visible_alias = "ls")]
    List,
    /// Use a context from now on.
    Use {
        /// Its name.
        name: String,
    },
    /// Show a context: who it is, where, and until when its certificate is valid.
    Show {
        /// Its name; the one in use when left out.
        name: Option<String>,
    },
    /// Take a context that `berth admin user create --file` wrote, and use it.
    Add {
        /// The file.
        file: PathBuf,
        /// What to call it; as the file is called when left out.
        #[arg(long)]
        name: Option<String>,
    },
}
