//! A connection that stopped speaking HTTP: bytes go both ways until both sides have said their last.

use std::time::Duration;

use acip_shell::Tunnelled;
use http::Extensions;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

/// Joins the two upgrades that stand in these extensions.
///
/// There is no idle limit: WebSocket peers have their own pings, and a dead one is found by the kernel's
/// keep-alive ([`keep_alive`](crate::listener::keep_alive)), which both sockets have.
/// `settle` bounds the wait for both upgrades to happen at all.
pub async fn join(mut client: Extensions, mut origin: Extensions, settle: Duration) -> Tunnelled {
    let (Some(client), Some(origin)) = (client.remove::<OnUpgrade>(), origin.remove::<OnUpgrade>()) else {
        return Tunnelled::default();
    };
    let both = tokio::time::timeout(settle, async { tokio::try_join!(client, origin) }).await;
    let Ok(Ok((client, origin))) = both else { return Tunnelled::default() };
    let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
    match copy_bidirectional(&mut client, &mut origin).await {
        Ok((up, down)) => Tunnelled { up, down, clean: true },
        Err(_) => Tunnelled::default(),
    }
}
