//! Commands on their way to Redis and its replies: one, many, or a transaction, each in one write.

use std::sync::Arc;

use acip_core::store::{Reply, StoreError};
use bytes::Bytes;
use tokio::time::timeout;

use super::{Bridge, body::Share, json::Words, policy::Ruling, problem::Problem, tokens::Right};
use crate::store::{Apart, StoreClient};

/// One command. Its own error is a reply.
pub(super) async fn single(bridge: &Bridge, right: Right, mut words: Words) -> Result<Reply, Problem> {
    let reply = match ready(bridge, right, &mut words).await? {
        Err(error) => return Err(Problem::bad(error)),
        Ok(true) => send_apart(bridge, &[words]).await?.pop(),
        Ok(false) => bridge.store.commands(&[words]).await?.pop(),
    };
    reply.ok_or_else(|| StoreError::Down("no answer".into()).into())
}

/// Many commands in one write; each has its own result or error.
pub(super) async fn pipeline(
    bridge: &Bridge,
    right: Right,
    commands: Vec<Words>,
) -> Result<Vec<Reply>, Problem> {
    let (mut sent, mut refused) = (Vec::with_capacity(commands.len()), Vec::with_capacity(commands.len()));
    let mut apart = false;
    for mut words in commands {
        match ready(bridge, right, &mut words).await? {
            Ok(blocks) => {
                apart |= blocks;
                sent.push(words);
                refused.push(None);
            }
            Err(error) => refused.push(Some(Reply::Error(error.into()))),
        }
    }
    let replies = if apart { send_apart(bridge, &sent).await? } else { bridge.store.commands(&sent).await? };
    let mut replies = replies.into_iter();
    // INVARIANT: there is one reply to each command that was sent.
    Ok(refused.into_iter().map(|refused| refused.or_else(|| replies.next()).unwrap_or(Reply::Nil)).collect())
}

/// Many commands in one write between `MULTI` and `EXEC`: on a shared connection, too, nothing comes in between.
pub(super) async fn transaction(
    bridge: &Bridge,
    right: Right,
    commands: Vec<Words>,
) -> Result<Vec<Reply>, Problem> {
    if matches!(bridge.store, StoreClient::Cluster(_)) {
        let hint = "ERR no transactions on a cluster; use a script whose keys share a hash tag";
        return Err(Problem::bad(hint));
    }
    let mut sent = Vec::with_capacity(commands.len() + 2);
    sent.push(vec![Bytes::from_static(b"MULTI")]);
    for (index, mut words) in commands.into_iter().enumerate() {
        // Within a transaction nothing blocks.
        if let Err(error) = ready(bridge, right, &mut words).await? {
            return Err(discarded(index, &error));
        }
        sent.push(words);
    }
    sent.push(vec![Bytes::from_static(b"EXEC")]);
    let mut replies = bridge.store.commands(&sent).await?;
    let refused = match replies.pop() {
        Some(Reply::Array(items)) => return Ok(items),
        Some(Reply::Error(line)) => line,
        _ => return Err(StoreError::Down("no transaction's answer".into()).into()),
    };
    // Why it was discarded, Redis said when it was given the command.
    let blamed = replies.iter().skip(1).enumerate().find_map(|(index, reply)| match reply {
        Reply::Error(line) => Some(discarded(index, &String::from_utf8_lossy(line))),
        _ => None,
    });
    Err(blamed.unwrap_or_else(|| Problem::bad(String::from_utf8_lossy(&refused))))
}

fn discarded(index: usize, error: &str) -> Problem {
    Problem::bad(format!(
        "EXECABORT Transaction discarded because of previous errors. Command {}: {error}",
        index.saturating_add(1)
    ))
}

/// Makes a command ready to be sent: whether it needs a connection of its own, or the error that it gets instead.
async fn ready(bridge: &Bridge, right: Right, words: &mut Words) -> Result<Result<bool, String>, Problem> {
    let apart = match bridge.shared.policy.judge(words) {
        Ruling::Refused(error) => return Ok(Err(error)),
        Ruling::Apart => true,
        Ruling::Shared => false,
    };
    if right == Right::ReadOnly && !bridge.flags.only_read(&bridge.store, words).await? {
        return Ok(Err(no_permission(words)));
    }
    bridge.shared.scripts.translate(words);
    Ok(Ok(apart))
}

/// What a read-only token gets for a command that writes.
pub(super) fn no_permission(words: &Words) -> String {
    let name =
        words.first().map(|word| String::from_utf8_lossy(word).to_ascii_lowercase()).unwrap_or_default();
    format!("NOPERM this user has no permissions to run the '{name}' command; its token only reads")
}

/// Sends commands on a connection of their own and waits as long as Redis does. The client's leaving closes it.
async fn send_apart(bridge: &Bridge, commands: &[Words]) -> Result<Vec<Reply>, Problem> {
    let (mut connection, _place) = open_apart(bridge).await?;
    connection.send(commands).await?;
    let mut replies = Vec::with_capacity(commands.len());
    for _ in commands {
        replies.push(connection.next().await?);
    }
    Ok(replies)
}

/// A connection of one's own and the place that it takes.
pub(super) async fn open_apart(bridge: &Bridge) -> Result<(Apart, Share), Problem> {
    if matches!(bridge.store, StoreClient::Cluster(_)) {
        let hint = "ERR what waits needs a connection of its own, which a cluster does not give here";
        return Err(Problem::bad(hint));
    }
    let place = Arc::clone(&bridge.shared.apart).try_acquire_owned();
    let place = place
        .map_err(|_| Problem::unavailable("ERR too many blocking commands and subscriptions at once"))?;
    let opening = async {
        let mut connection = Apart::open(&bridge.shared.store).await?;
        // A server that hangs still lets its kernel connect.
        connection.send(&[["PING"]]).await?;
        connection.next().await?;
        Ok::<_, StoreError>(connection)
    };
    let opened = timeout(bridge.shared.timeout(), opening).await;
    Ok((opened.map_err(|_| StoreError::Timeout)??, place))
}
