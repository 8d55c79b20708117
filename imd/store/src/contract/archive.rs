//! Writing messages and reading them back in pages.

use super::{add_account, append, bodies, entry, first, offline, second};
use crate::archive::MOST_COUNTED;
use crate::{
    ArchiveEntry, ArchiveFilter, ArchiveId, ArchiveMark, ArchivePaging, Store, StoreError, Write,
};

const ALICE: &str = "alice@x";
const BOB: &str = "bob@x";

pub async fn an_entry_reads_back_as_it_was_written(store: &dyn Store) {
    let id = store.archive_ids().next();
    let full = ArchiveEntry {
        with_resource: Some("phone".to_owned()),
        message_id: Some("m1".to_owned()),
        origin_id: Some("o1".to_owned()),
        groupchat: true,
        ..entry(ALICE, id.0, BOB, "hello")
    };
    append(store, [full.clone()]).await;
    assert_eq!(store.archive_entry(ALICE, id).await, Ok(Some(full.clone())));
    assert_eq!(store.archive_entry(BOB, id).await, Ok(None));
    assert_eq!(
        first(store, ALICE, ArchiveFilter::default()).await.entries,
        [full]
    );
}

pub async fn what_is_queued_is_seen_by_those_who_ask_next(store: &dyn Store) {
    let mut commits = Vec::new();
    for number in 1..=200 {
        let mut written = entry(ALICE, second(number), BOB, &number.to_string());
        written.message_id = Some(format!("m{number}"));
        let id = written.id;
        commits.push(store.append(vec![Write::Archive(written)]).await);
        let newest = ArchivePaging {
            max: 1,
            backwards: true,
            ..ArchivePaging::default()
        };
        let page = store
            .archive_page(ALICE, ArchiveFilter::default(), newest)
            .await
            .unwrap();
        assert_eq!(bodies(&page), [number.to_string()]);
        assert_eq!(store.archive_has(ALICE, &[id]).await, Ok(true));
    }
    for commit in commits {
        commit.await.unwrap();
    }
}

/// Seven messages "1" to "7", one second apart.
async fn seven(store: &dyn Store) {
    append(
        store,
        (1..=7).map(|n| entry(ALICE, second(n), BOB, &n.to_string())),
    )
    .await;
}

pub async fn pages_forward_cover_the_archive_without_gaps(store: &dyn Store) {
    seven(store).await;
    let mut paging = ArchivePaging {
        max: 3,
        count: true,
        ..ArchivePaging::default()
    };
    let mut seen = Vec::new();
    for (index, complete) in [(0, false), (3, false), (6, true)] {
        let page = store
            .archive_page(ALICE, ArchiveFilter::default(), paging.clone())
            .await
            .unwrap();
        assert_eq!(
            (page.first_index, page.complete, page.count),
            (Some(index), complete, Some(7))
        );
        seen.extend(bodies(&page).into_iter().map(str::to_owned));
        paging.after = page.entries.last().map(|entry| entry.id);
    }
    assert_eq!(seen, ["1", "2", "3", "4", "5", "6", "7"]);
}

pub async fn pages_backward_cover_the_archive_without_gaps(store: &dyn Store) {
    seven(store).await;
    let mut paging = ArchivePaging {
        max: 3,
        backwards: true,
        count: true,
        ..ArchivePaging::default()
    };
    for (index, complete, wanted) in [(4, false, "567"), (1, false, "234"), (0, true, "1")] {
        let page = store
            .archive_page(ALICE, ArchiveFilter::default(), paging.clone())
            .await
            .unwrap();
        assert_eq!((page.first_index, page.complete), (Some(index), complete));
        assert_eq!(bodies(&page).concat(), wanted);
        paging.before = page.entries.first().map(|entry| entry.id);
    }
}

pub async fn filters_narrow_by_peer_resource_and_time(store: &dyn Store) {
    seven(store).await;
    let phone = ArchiveEntry {
        with_resource: Some("phone".to_owned()),
        ..entry(ALICE, second(8), "carol@x", "8")
    };
    append(store, [phone, entry(ALICE, second(9), "carol@x", "9")]).await;
    let with = |jid: &str| Some(jid.to_owned());
    let cases = [
        (
            ArchiveFilter {
                with: with("carol@x"),
                ..ArchiveFilter::default()
            },
            "89",
        ),
        (
            ArchiveFilter {
                with: with("carol@x"),
                with_resource: with("phone"),
                ..ArchiveFilter::default()
            },
            "8",
        ),
        (
            ArchiveFilter {
                with: with("dan@x"),
                ..ArchiveFilter::default()
            },
            "",
        ),
        (
            ArchiveFilter {
                start: Some(3_000),
                end: Some(5_000),
                ..ArchiveFilter::default()
            },
            "345",
        ),
        (
            ArchiveFilter {
                start: Some(7_500),
                ..ArchiveFilter::default()
            },
            "89",
        ),
        (
            ArchiveFilter {
                end: Some(1_999),
                ..ArchiveFilter::default()
            },
            "1",
        ),
        (
            ArchiveFilter {
                after: Some(ArchiveId(second(2))),
                before: Some(ArchiveId(second(5))),
                ..ArchiveFilter::default()
            },
            "34",
        ),
        (
            ArchiveFilter {
                with: with(BOB),
                start: Some(6_000),
                ..ArchiveFilter::default()
            },
            "67",
        ),
    ];
    for (filter, wanted) in cases {
        let page = first(store, ALICE, filter.clone()).await;
        assert_eq!(bodies(&page).concat(), wanted, "{filter:?}");
        assert_eq!(page.count, Some(wanted.len() as u64), "{filter:?}");
    }
}

pub async fn filters_narrow_by_ids(store: &dyn Store) {
    seven(store).await;
    append(store, [entry(BOB, second(8), ALICE, "8")]).await;
    let ids: Vec<_> = [5, 2, 8].map(|n| ArchiveId(second(n))).into();
    let page = first(
        store,
        ALICE,
        ArchiveFilter {
            ids: Some(ids.clone()),
            ..ArchiveFilter::default()
        },
    )
    .await;
    assert_eq!(bodies(&page).concat(), "25");
    assert_eq!(store.archive_has(ALICE, &ids).await, Ok(false));
    assert_eq!(store.archive_has(ALICE, &ids[..2]).await, Ok(true));
}

pub async fn a_page_of_nothing_counts(store: &dyn Store) {
    seven(store).await;
    let paging = ArchivePaging {
        max: 0,
        count: true,
        ..ArchivePaging::default()
    };
    let page = store
        .archive_page(ALICE, ArchiveFilter::default(), paging.clone())
        .await
        .unwrap();
    assert_eq!(
        (page.entries.len(), page.complete, page.count),
        (0, false, Some(7))
    );
    let page = store
        .archive_page("nobody@x", ArchiveFilter::default(), paging)
        .await
        .unwrap();
    assert_eq!(
        (page.entries.len(), page.complete, page.count),
        (0, true, Some(0))
    );
}

pub async fn beside_a_page_a_large_archive_is_not_counted(store: &dyn Store) {
    let most = u64::from(MOST_COUNTED);
    append(
        store,
        (1..=most).map(|n| entry(ALICE, second(n), BOB, "one of many")),
    )
    .await;
    let page = first(store, ALICE, ArchiveFilter::default()).await;
    assert_eq!((page.count, page.first_index), (Some(most), Some(0)));
    append(store, [entry(ALICE, second(most + 1), BOB, "one more")]).await;
    let page = first(store, ALICE, ArchiveFilter::default()).await;
    assert_eq!(
        (page.entries.len(), page.count, page.first_index),
        (100, None, None)
    );
    let alone = ArchivePaging {
        count: true,
        ..ArchivePaging::default()
    };
    let page = store.archive_page(ALICE, ArchiveFilter::default(), alone);
    assert_eq!(page.await.unwrap().count, Some(most + 1));
}

pub async fn archives_do_not_mix(store: &dyn Store) {
    append(
        store,
        [
            entry(ALICE, second(1), BOB, "a"),
            entry(BOB, second(2), ALICE, "b"),
        ],
    )
    .await;
    assert_eq!(
        bodies(&first(store, ALICE, ArchiveFilter::default()).await),
        ["a"]
    );
    assert_eq!(
        bodies(&first(store, BOB, ArchiveFilter::default()).await),
        ["b"]
    );
}

pub async fn a_write_list_happens_as_a_whole_or_not_at_all(store: &dyn Store) {
    add_account(store, "bob").await;
    let both = |id: u64| {
        vec![
            Write::Archive(entry(ALICE, id, BOB, "x")),
            offline("bob", "<message/>", 1),
        ]
    };
    store.append(both(second(1))).await.await.unwrap();
    let refused = store.append(both(second(2))).await.await;
    assert!(
        matches!(refused, Err(StoreError::Limit { limit: 1, .. })),
        "{refused:?}"
    );
    assert_eq!(
        store.archive_entry(ALICE, ArchiveId(second(2))).await,
        Ok(None)
    );
    assert_eq!(store.count_offline("bob").await, Ok(1));
}

pub async fn offline_messages_stay_until_deleted(store: &dyn Store) {
    add_account(store, "bob").await;
    add_account(store, "carol").await;
    let writes = ["<1/>", "<2/>", "<3/>"].map(|stanza| offline("bob", stanza, 10));
    store.append(writes.into()).await.await.unwrap();
    store
        .append(vec![offline("carol", "<4/>", 10)])
        .await
        .await
        .unwrap();
    let two = store.offline("bob", 0, 2).await.unwrap();
    assert_eq!(
        two.iter()
            .map(|message| message.stanza.as_str())
            .collect::<Vec<_>>(),
        ["<1/>", "<2/>"]
    );
    assert_eq!(store.count_offline("bob").await, Ok(3));
    assert_eq!(store.delete_offline_through("bob", two[1].id).await, Ok(2));
    let rest = store.offline("bob", 0, 10).await.unwrap();
    assert_eq!(
        rest.iter()
            .map(|message| message.stanza.as_str())
            .collect::<Vec<_>>(),
        ["<3/>"]
    );
    assert_eq!(store.count_offline("carol").await, Ok(1));
}

pub async fn whoever_has_had_all_offline_messages_gets_the_next_ones(store: &dyn Store) {
    add_account(store, "bob").await;
    assert_eq!(
        store.delete_offline_through("bob", u64::MAX >> 1).await,
        Ok(0)
    );
    for stanza in ["<1/>", "<2/>"] {
        let queued = store.append(vec![offline("bob", stanza, 10)]).await;
        queued.await.unwrap();
        let waiting = store.offline("bob", 0, 10).await.unwrap();
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        assert_eq!(waiting[0].stanza, stanza);
        let deleted = store.delete_offline_through("bob", waiting[0].id).await;
        assert_eq!(deleted, Ok(1));
        assert_eq!(store.offline("bob", 0, 10).await, Ok(Vec::new()));
    }
}

pub async fn bounds_are_the_first_and_the_last_entry(store: &dyn Store) {
    assert_eq!(store.archive_bounds(ALICE).await, Ok(None));
    seven(store).await;
    let mark = |n| ArchiveMark {
        id: ArchiveId(second(n)),
        time: i64::try_from(n * 1000).unwrap(),
    };
    assert_eq!(
        store.archive_bounds(ALICE).await,
        Ok(Some((mark(1), mark(7))))
    );
}
