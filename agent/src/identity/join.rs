//! How a host joins: it makes sure that whoever answers is the coordinator that its token is of, shows
//! the token, and has its key certified.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use berth_core::ids::HostName;
use berth_pki::{
    Credentials, PkiError, Subject, Token, authority::AuthorityHash, request::Request, tls,
};
use berth_proto::{
    transport::{ClientTls, ConnectError, Endpoint, Remote},
    v1::{JoinRequest, identity_service_client::IdentityServiceClient},
};
use thiserror::Error;
use tokio::net::UdpSocket;

use super::{Joined, keep, now};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Where the coordinator is.
    pub coordinator: SocketAddr,
    /// What is shown to it.
    pub token: Token,
    /// What the host is to be called.
    pub name: HostName,
    /// Its address; the one by which it reaches the coordinator if left out.
    pub advertise_address: Option<IpAddr>,
}

/// Why a host does not join.
#[derive(Debug, Error)]
pub enum JoinError {
    /// Nobody answers, or not the right one.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The coordinator does not want it.
    #[error("the coordinator refused: {}", .0.message())]
    Refused(tonic::Status),
    /// What came back is of no use.
    #[error(
        "the coordinator sent a certificate of {found} instead of {wanted}; install the same release on both"
    )]
    NotOurs {
        /// Who it is of.
        found: Subject,
        /// Who asked.
        wanted: Subject,
    },
    /// What came back is of another authority than the token.
    #[error("the coordinator sent another authority than the token's; make a new token")]
    OtherAuthority,
    /// The files.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// Nothing says how the other hosts reach this one.
    #[error("the address of this machine is not known; give --advertise-address")]
    NoAddress(#[source] std::io::Error),
}

/// Joins, and remembers it below the data directory.
///
/// # Errors
/// Why not; then nothing is written.
pub async fn join(wish: Wish, data_dir: &Path) -> Result<Joined, JoinError> {
    let Wish {
        coordinator,
        token,
        name,
        advertise_address,
    } = wish;
    let remote = Remote {
        endpoint: Endpoint::Tcp(coordinator),
        tls: Some(ClientTls::new(tls::joining(token.authority)?)),
    };
    // Nobody is told anything before the connection is open: the other end's authority is the token's.
    let channel = remote.connect().await?;
    let advertise_address = match advertise_address {
        Some(address) => address,
        None => own_address(coordinator)
            .await
            .map_err(JoinError::NoAddress)?,
    };
    let request = Request::new()?;
    let asked = JoinRequest {
        token_id: token.id.to_string(),
        secret: token.secret().to_vec(),
        host: name.to_string(),
        csr: request.csr().to_vec(),
        time_ms: now().0,
    };
    let answer = IdentityServiceClient::new(channel).join(asked).await;
    let answer = answer.map_err(JoinError::Refused)?.into_inner();
    let credentials = Credentials::new(&request.key_pem(), &answer.certificate, &answer.authority)?;
    let wanted = Subject::Host(name.clone());
    let found = &credentials.certified().subject;
    if *found != wanted {
        let found = found.clone();
        return Err(JoinError::NotOurs { found, wanted });
    }
    if AuthorityHash::of(credentials.authority())? != token.authority {
        return Err(JoinError::OtherAuthority);
    }
    let joined = Joined {
        host: name,
        coordinator,
        advertise_address,
    };
    keep(data_dir, &credentials, &joined)?;
    Ok(joined)
}

/// The address of this machine that packets to another one leave from. Nothing is sent.
async fn own_address(to: SocketAddr) -> std::io::Result<IpAddr> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    Ok(socket.local_addr()?.ip())
}
