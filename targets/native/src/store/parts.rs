//! The servers of a store one by one, for what no key leads to (`SCAN`).

use acip_core::store::{Reply, StoreError};

use super::StoreClient;

/// One server that holds keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The only one.
    Whole,
    /// The master of this hash slot.
    Slot(u16),
}

impl StoreClient {
    /// All servers that hold keys; always in the same order while the slots stay where they are.
    ///
    /// # Errors
    /// As [`StoreClient::command`].
    pub async fn parts(&self) -> Result<Vec<Part>, StoreError> {
        match self {
            Self::Cluster(client) => {
                let mut slots = client.masters().await?;
                slots.sort_unstable();
                Ok(slots.into_iter().map(Part::Slot).collect())
            }
            _ => Ok(vec![Part::Whole]),
        }
    }

    /// As [`StoreClient::command`], to one of the servers.
    ///
    /// # Errors
    /// See there.
    pub async fn command_at<T: AsRef<[u8]>>(&self, part: Part, args: &[T]) -> Result<Reply, StoreError> {
        match (self, part) {
            (Self::Cluster(client), Part::Slot(slot)) => match client.command_at(slot, args).await? {
                Reply::Error(line) => Err(StoreError::from_server(&line)),
                reply => Ok(reply),
            },
            _ => self.command(args).await,
        }
    }
}
