//! Where a listener is: `unix:/run/berth/coordinator/api.sock`, or `127.0.0.1:7400`.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use thiserror::Error;

/// Where a listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket, for root on the same machine only.
    Unix(PathBuf),
    /// An address and a port.
    Tcp(SocketAddr),
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{text}' is not an endpoint; give unix:/PATH or IP:PORT")]
pub struct EndpointError {
    /// The refused text.
    pub text: String,
}

impl FromStr for Endpoint {
    type Err = EndpointError;
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text
            .strip_prefix("unix:")
            .filter(|path| path.starts_with('/'))
        {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        text.parse().map(Self::Tcp).map_err(|_| EndpointError {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_parsed_and_printed() {
        for text in [
            "unix:/run/berth/coordinator/api.sock",
            "127.0.0.1:7400",
            "[::1]:7400",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in ["", "unix:relative", "localhost:7400", "127.0.0.1"] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.to_string().contains("unix:/PATH"), "{error}");
        }
    }
}
