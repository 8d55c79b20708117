//! The message archive of users and rooms (XEP-0313), and the one way in which messages are written.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::offline::OfflineEntry;
use crate::{ArchiveId, ArchiveIds, Result, StoreError, UnixMillis};

/// One archived stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Its id, from [`ArchiveStore::archive_ids`].
    pub id: ArchiveId,
    /// Whose archive: the bare JID of a user or a room.
    pub owner: String,
    /// The other side's bare JID; in a room's archive, the room's own.
    pub with: String,
    /// The other side's resource, or the occupant's nickname; `None`: none.
    pub with_resource: Option<String>,
    /// When the server received it. Kept no later than the time inside `id`.
    pub time: UnixMillis,
    /// The stanza as XML.
    pub stanza: String,
    /// The stanza's `id` attribute; `None`: it had none.
    pub message_id: Option<String>,
    /// Its XEP-0359 origin-id; `None`: it had none.
    pub origin_id: Option<String>,
    /// True for `type='groupchat'`.
    pub groupchat: bool,
    /// The body's text for full-text search; `None`: nothing to search in (e.g. encrypted).
    pub body: Option<String>,
}

/// One thing to write together with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Into an archive.
    Archive(ArchiveEntry),
    /// Into the queue of a user who is offline.
    Offline(OfflineEntry),
}

/// Which entries of one archive are meant; an absent field does not filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArchiveFilter {
    /// Bare JID of the other side.
    pub with: Option<String>,
    /// Resource of the other side; only looked at where `with` is given.
    pub with_resource: Option<String>,
    /// Not earlier than this.
    pub start: Option<UnixMillis>,
    /// Not later than this.
    pub end: Option<UnixMillis>,
    /// Only ids greater than this (the form field `after-id`).
    pub after: Option<ArchiveId>,
    /// Only ids smaller than this (the form field `before-id`).
    pub before: Option<ArchiveId>,
    /// Only these ids.
    pub ids: Option<Vec<ArchiveId>>,
    /// Only entries whose body has all these words (a run of Chinese, Japanese or Korean characters is
    /// looked for as written). `Off` is returned where full-text search is switched off.
    pub text: Option<String>,
}

/// Which part of the matching entries is wanted (XEP-0059).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArchivePaging {
    /// Entries after this one.
    pub after: Option<ArchiveId>,
    /// Entries before this one.
    pub before: Option<ArchiveId>,
    /// True: the last `max` of them (`<before/>`), false: the first `max`.
    pub backwards: bool,
    /// At most so many; 0: only the count is wanted.
    pub max: u32,
    /// True: also count all that match the filter, which takes time in a large archive.
    pub count: bool,
}

/// Up to how many entries are counted beside a page: in a large archive that would take longer than the page. (A page of 50 that is not
/// in memory takes 19 blocks of the disk so; with 10,000 it took 56.)
pub const MOST_COUNTED: u32 = 1_000;

/// A page of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArchivePage {
    /// The entries in ascending order of their ids, also when paging backwards.
    pub entries: Vec<ArchiveEntry>,
    /// True when nothing more lies in the direction of paging.
    pub complete: bool,
    /// How many match the filter, where asked for; `None` beside entries where they are more than [`MOST_COUNTED`].
    pub count: Option<u64>,
    /// The position of the first entry among all that match, where the page is not empty and has a count.
    pub first_index: Option<u64>,
}

/// Where an archive begins or ends (XEP-0313 `<metadata/>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveMark {
    /// The entry's id.
    pub id: ArchiveId,
    /// The entry's time.
    pub time: UnixMillis,
}

/// What a user wants archived by default (XEP-0441).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArchiveDefault {
    /// All messages.
    #[default]
    Always,
    /// None.
    Never,
    /// Those of contacts in the roster.
    Roster,
}

/// A user's archiving preferences (XEP-0441).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArchivePrefs {
    /// For those in neither list.
    pub default: ArchiveDefault,
    /// Always archived: JIDs.
    pub always: Vec<String>,
    /// Never archived: JIDs.
    pub never: Vec<String>,
}

/// Resolves when the writes it stands for are committed and synced to the disk, or have failed as a whole.
///
/// Dropping it does not undo the writes; it only loses the news.
#[must_use = "a message may be acknowledged only after its commit has been awaited"]
#[derive(Debug)]
pub struct Commit {
    state: CommitState,
}

#[derive(Debug)]
enum CommitState {
    Waiting {
        answer: oneshot::Receiver<Result<()>>,
        if_lost: StoreError,
    },
    Known(Option<Result<()>>),
}

impl Commit {
    /// A commit whose outcome is known already.
    pub fn ready(outcome: Result<()>) -> Self {
        Self {
            state: CommitState::Known(Some(outcome)),
        }
    }

    /// A commit that another thread will answer; `if_lost` is the error where it never does.
    pub fn waiting(answer: oneshot::Receiver<Result<()>>, if_lost: StoreError) -> Self {
        Self {
            state: CommitState::Waiting { answer, if_lost },
        }
    }
}

impl Future for Commit {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            CommitState::Waiting { answer, if_lost } => Pin::new(answer)
                .poll(cx)
                .map(|got| got.unwrap_or_else(|_| Err(if_lost.clone()))),
            CommitState::Known(outcome) => outcome.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

/// Archives. `owner` is the bare JID of a user or a room. Reading one shows all that was queued by `append`
/// before: messages are delivered before their commit, and who has just got one may ask for it.
#[async_trait]
pub trait ArchiveStore {
    /// The generator of ids for this database.
    fn archive_ids(&self) -> &ArchiveIds;

    /// Queues the writes, all of which happen or none, and returns once they are queued: it waits while
    /// the queue is full, so await it before reading more from the client. Writes of one caller are
    /// committed in the order queued. The `Commit` fails with `Limit` where an offline queue is full,
    /// and with `Absent` where its user has no account.
    async fn append(&self, writes: Vec<Write>) -> Commit;

    /// A page of what matches. An archive that never existed is empty and complete. Ids in `filter` or
    /// `paging` need not exist; see `archive_has`.
    async fn archive_page(
        &self,
        owner: &str,
        filter: ArchiveFilter,
        paging: ArchivePaging,
    ) -> Result<ArchivePage>;

    /// True when every one of the ids is in this archive (XEP-0313 wants `item-not-found` otherwise).
    async fn archive_has(&self, owner: &str, ids: &[ArchiveId]) -> Result<bool>;

    /// One entry; `None` when this archive has none of that id.
    async fn archive_entry(&self, owner: &str, id: ArchiveId) -> Result<Option<ArchiveEntry>>;

    /// The newest entry exchanged with `with` whose `message_id` or `origin_id` is `id`, among the last
    /// 5,000; `None` when there is none.
    async fn archive_find(&self, owner: &str, with: &str, id: &str)
    -> Result<Option<ArchiveEntry>>;

    /// Puts another stanza in an entry's place (a tombstone of XEP-0424 or XEP-0425), with the text to
    /// search in; false when this archive has no such entry.
    async fn archive_replace(
        &self,
        owner: &str,
        id: ArchiveId,
        stanza: String,
        body: Option<String>,
    ) -> Result<bool>;

    /// The first and the last entry; `None` when the archive is empty.
    async fn archive_bounds(&self, owner: &str) -> Result<Option<(ArchiveMark, ArchiveMark)>>;

    /// Deletes up to `max` of one archive's entries older than `before`, oldest first, and says how
    /// many; call again until it is fewer than `max`.
    async fn archive_delete_older(&self, owner: &str, before: UnixMillis, max: u32) -> Result<u32>;

    /// The same over all archives but those of the owners in `except` (who have their own retention).
    async fn archive_delete_older_of_all(
        &self,
        before: UnixMillis,
        except: &[String],
        max: u32,
    ) -> Result<u32>;

    /// Whether the user may have preferences. False is certain, and costs nothing: nearly nobody has any.
    fn may_have_archive_prefs(&self, user: &str) -> bool;

    /// The user's preferences; `None` when never set.
    async fn archive_prefs(&self, user: &str) -> Result<Option<ArchivePrefs>>;

    /// Sets the user's preferences. `Absent` when there is no such account.
    async fn set_archive_prefs(&self, user: &str, prefs: ArchivePrefs) -> Result<()>;
}
