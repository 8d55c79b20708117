//! What is deleted by age, and what is not: by the server's rule, by those of people and rooms, and never after a jump of
//! the clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use imd::admin::Administrator;
use imd::admin::accounts::NewPerson;
use imd::admin::retention::NewRetention;
use imd::server::Server;
use imd::shutdown::Shutdown;
use imd::upkeep::{self, Deleted, What, clock::Clock};
use imd_store::sqlite::{SqliteOptions, SqliteStore};
use imd_store::{
    ArchiveEntry, ArchiveFilter, ArchivePaging, Invite, InviteKind, Role, Write, now_millis,
};

const DAY: i64 = 86_400_000;

async fn administrator(folder: &std::path::Path) -> Administrator {
    let text = format!(
        "domain = \"x.test\"\ndata_dir = {folder:?}\n[tls]\ncertificate = \"/c\"\nkey = \"/k\"\n\
         [archive]\nretention = \"100d\"\n"
    );
    let config = imd::config::parse("imd.toml", &text).unwrap();
    let options = SqliteOptions {
        full_text: true,
        check: false,
    };
    let store = SqliteStore::open(&folder.join("imd.sqlite"), options).unwrap();
    let server = Server::new(config, Arc::new(store), Shutdown::default()).unwrap();
    let admin = Administrator {
        server,
        actor: "test".to_owned(),
    };
    for username in ["alice", "bob", "carol"] {
        let new = NewPerson {
            username: username.to_owned(),
            ..NewPerson::default()
        };
        admin.create_person(new).await.unwrap();
    }
    admin
}

/// Messages of these ages, in days, in everybody's archive.
async fn archive(admin: &Administrator, now: i64, ages: &[i64]) {
    let mut writes = Vec::new();
    for owner in ["alice@x.test", "bob@x.test", "carol@x.test"] {
        for age in ages {
            writes.push(Write::Archive(ArchiveEntry {
                id: admin.server.store.archive_ids().next(),
                owner: owner.to_owned(),
                time: now - age * DAY,
                with: "eve@x.test".to_owned(),
                stanza: "<message xmlns='jabber:client'/>".to_owned(),
                with_resource: None,
                message_id: None,
                origin_id: None,
                groupchat: false,
                body: None,
            }));
        }
    }
    admin.server.store.append(writes).await.await.unwrap();
}

async fn kept(admin: &Administrator, owner: &str) -> usize {
    let paging = ArchivePaging {
        max: 5000,
        ..ArchivePaging::default()
    };
    let page = admin
        .server
        .store
        .archive_page(owner, ArchiveFilter::default(), paging)
        .await;
    page.unwrap().entries.len()
}

#[tokio::test]
async fn each_archive_is_kept_by_its_own_rule_or_by_the_servers() {
    let folder = tempfile::tempdir().unwrap();
    let admin = administrator(folder.path()).await;
    let now = now_millis();
    archive(&admin, now, &[1, 20, 99, 101, 3000]).await;
    let days = |days| NewRetention { days };
    admin.retain("alice", days(Some(10))).await.unwrap();
    admin.retain("bob@x.test", days(None)).await.unwrap();
    let mut clock = Clock::new(None);
    let deleted = upkeep::tick(
        &admin.server,
        &mut clock,
        now,
        Instant::now(),
        What::Everything,
    )
    .await;
    assert_eq!(deleted.unwrap().unwrap().messages, 4 + 2);
    let mut left = Vec::new();
    for owner in ["alice@x.test", "bob@x.test", "carol@x.test"] {
        left.push(kept(&admin, owner).await);
    }
    assert_eq!(left, [1, 5, 3]);
    admin.retain_as_all("bob").await.unwrap();
    let later = Instant::now();
    let deleted = upkeep::tick(&admin.server, &mut clock, now, later, What::Everything).await;
    assert_eq!(deleted.unwrap().unwrap().messages, 2);
}

#[tokio::test]
async fn a_removed_person_leaves_no_rule_for_the_next_of_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let admin = administrator(folder.path()).await;
    let rule = NewRetention { days: Some(1) };
    admin.retain("alice", rule).await.unwrap();
    admin.remove_person("alice").await.unwrap();
    assert_eq!(admin.retention().await.unwrap().rules, []);
}

#[tokio::test]
async fn nothing_is_deleted_after_a_jump_of_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let admin = administrator(folder.path()).await;
    let (now, start) = (now_millis(), Instant::now());
    archive(&admin, now, &[1, 2]).await;
    let mut clock = Clock::new(None);
    let tick = upkeep::tick(&admin.server, &mut clock, now, start, What::Everything).await;
    assert_eq!(tick.unwrap(), Some(Deleted::default()));
    for hour in 1..20 {
        let at = start + Duration::from_secs(3600 * hour);
        let wrong = now + 4000 * DAY + i64::try_from(hour).unwrap() * 3_600_000;
        let tick = upkeep::tick(&admin.server, &mut clock, wrong, at, What::Everything).await;
        assert_eq!(tick.unwrap(), None);
    }
    assert_eq!(kept(&admin, "alice@x.test").await, 2);
}

#[tokio::test]
async fn what_has_run_out_is_purged() {
    let folder = tempfile::tempdir().unwrap();
    let admin = administrator(folder.path()).await;
    let now = now_millis();
    let invite = |token: &str, expires_at| Invite {
        token: token.to_owned(),
        kind: InviteKind::Account,
        inviter: None,
        username: None,
        role: Role::Member,
        groups: Vec::new(),
        created_at: now - 10 * DAY,
        expires_at: Some(expires_at),
        uses_left: Some(1),
        note: None,
    };
    let store = &admin.server.store;
    store.create_invite(invite("old", now - 1)).await.unwrap();
    store.create_invite(invite("new", now + DAY)).await.unwrap();
    let mut clock = Clock::new(None);
    let tick = upkeep::tick(
        &admin.server,
        &mut clock,
        now,
        Instant::now(),
        What::Everything,
    )
    .await;
    assert_eq!(tick.unwrap().unwrap().invitations, 1);
    assert_eq!(store.invites().await.unwrap()[0].token, "new");
}
