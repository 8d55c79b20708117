//! What every backend has to do, as tests. A backend calls [`contract_tests!`](crate::contract_tests) in
//! one of its test files with a function that makes an empty store, and gets one test for each behaviour.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]
#![allow(
    missing_docs,
    reason = "the names of the tests say what they are about"
)]

pub mod accounts;
pub mod archive;
pub mod archive_upkeep;
pub mod clients;
pub mod operation;
pub mod people;
pub mod pubsub;
pub mod rooms;
pub mod roster;

use crate::{
    Account, ArchiveEntry, ArchiveFilter, ArchiveId, ArchivePage, ArchivePaging, Credentials,
    OfflineEntry, Role, ScramKeys, Store, UnixMillis, Write,
};

/// Makes a `#[test]` for each behaviour. `$make` is a function without parameters that returns a store as
/// something that derefs to `dyn Store` and a value to be kept as long as the store is used.
#[macro_export]
macro_rules! contract_tests {
    ($make:path) => {
        $crate::contract_tests! { @area $make, accounts:
            an_account_is_found_after_it_was_created,
            a_username_is_taken_once,
            credentials_are_replaced_as_a_whole,
            a_new_password_revokes_login_tokens,
            changing_a_missing_account_says_absent,
            accounts_are_listed_in_pages_by_name,
            removing_an_account_removes_what_it_owned,
            an_account_created_again_starts_empty,
            blocking_tells_what_is_new,
            a_full_block_list_stays_as_it_was,
            a_vcard_is_set_and_removed,
            private_xml_is_kept_by_name_and_namespace,
        }
        $crate::contract_tests! { @area $make, roster:
            a_roster_item_is_kept_with_all_its_fields,
            every_change_raises_the_version,
            changes_since_a_version_have_each_contact_once,
            an_unknown_or_ancient_version_gets_the_whole_roster,
            an_edit_sees_the_present_item,
            an_edit_that_changes_nothing_keeps_the_version,
            a_full_roster_takes_changes_but_no_new_contact,
            removing_a_stranger_changes_nothing,
            requests_wait_in_their_order_until_removed,
        }
        $crate::contract_tests! { @area $make, archive:
            an_entry_reads_back_as_it_was_written,
            what_is_queued_is_seen_by_those_who_ask_next,
            pages_forward_cover_the_archive_without_gaps,
            pages_backward_cover_the_archive_without_gaps,
            filters_narrow_by_peer_resource_and_time,
            filters_narrow_by_ids,
            a_page_of_nothing_counts,
            beside_a_page_a_large_archive_is_not_counted,
            archives_do_not_mix,
            a_write_list_happens_as_a_whole_or_not_at_all,
            offline_messages_stay_until_deleted,
            whoever_has_had_all_offline_messages_gets_the_next_ones,
            bounds_are_the_first_and_the_last_entry,
        }
        $crate::contract_tests! { @area $make, archive_upkeep:
            old_entries_are_deleted_in_batches,
            retention_of_all_spares_the_excepted,
            an_entry_is_replaced_by_its_tombstone,
            an_entry_is_found_by_its_message_or_origin_id,
            archive_preferences_are_kept,
        }
        $crate::contract_tests! { @area $make, pubsub:
            a_node_is_created_once_and_listed,
            publishing_creates_a_missing_node_where_told,
            the_oldest_items_go_when_a_node_is_full,
            an_item_published_again_is_the_newest,
            the_newest_item_of_each_node_is_told,
            a_service_has_only_so_many_bytes,
            the_newest_items_of_several_services_come_at_once,
            items_are_retracted_and_purged,
            subscriptions_and_affiliations_are_kept,
            a_deleted_node_leaves_nothing,
        }
        $crate::contract_tests! { @area $make, rooms:
            a_room_is_created_once_with_its_owner,
            saving_a_room_keeps_its_affiliations,
            affiliations_change_and_end,
            a_deleted_room_leaves_nothing,
            a_removed_account_leaves_its_rooms_but_stays_banned,
        }
        $crate::contract_tests! { @area $make, people:
            an_invite_is_kept_with_all_its_fields,
            an_invite_runs_out_by_use_and_by_time,
            redeeming_an_invite_makes_the_account_and_joins_its_groups,
            members_of_a_group_have_each_other,
            members_are_added_all_or_none,
            groups_are_renamed_listed_and_deleted,
            people_of_a_group_are_contacts_until_they_share_none,
            contacts_of_ones_own_outlast_the_group,
            only_the_named_contacts_are_looked_at,
            an_import_creates_people_and_groups,
            an_import_with_bad_rows_names_them_all_and_changes_nothing,
            a_display_name_is_set_and_removed,
            a_new_display_name_reaches_contacts_by_groups_but_not_names_of_ones_own,
        }
        $crate::contract_tests! { @area $make, clients:
            a_slot_is_given_within_each_quota,
            a_file_is_put_into_a_slot_once,
            old_unused_and_orphaned_uploads_are_to_be_deleted,
            a_saved_session_is_taken_once,
            login_tokens_come_with_their_account,
            a_new_login_token_replaces_the_old_one_once_used,
            a_login_token_is_not_replayed,
            login_tokens_are_revoked_by_client_or_all,
            clients_with_login_tokens_are_listed,
            push_is_enabled_renewed_and_disabled,
            push_failures_in_a_row_are_counted,
        }
        $crate::contract_tests! { @area $make, operation:
            settings_are_set_listed_and_removed,
            a_secret_is_made_once,
            api_tokens_are_found_by_hash_and_revoked_by_id,
            the_log_is_read_newest_first_by_kind,
            the_size_tells_what_is_there,
        }
    };
    (@area $make:path, $area:ident: $($name:ident,)*) => {
        mod $area {
            $(
                #[tokio::test]
                async fn $name() {
                    let (store, _keep) = $make();
                    $crate::contract::$area::$name(&*store).await;
                }
            )*
        }
    };
}

pub(crate) fn account(username: &str) -> Account {
    Account {
        username: username.to_owned(),
        role: Role::Member,
        enabled: true,
        created_at: 1_000,
    }
}

pub(crate) fn keys(seed: u8) -> ScramKeys {
    ScramKeys {
        salt: vec![seed; 16],
        iterations: 4096,
        stored_key: vec![seed; 32],
        server_key: vec![!seed; 32],
    }
}

pub(crate) fn credentials(seed: u8) -> Credentials {
    Credentials {
        sha1: Some(keys(seed)),
        sha256: Some(keys(seed.wrapping_add(1))),
    }
}

pub(crate) async fn add_account(store: &dyn Store, username: &str) {
    store
        .create_account(account(username), credentials(1))
        .await
        .unwrap();
}

/// An entry with the id given, at the time inside it.
pub(crate) fn entry(owner: &str, id: u64, with: &str, body: &str) -> ArchiveEntry {
    ArchiveEntry {
        id: ArchiveId(id),
        owner: owner.to_owned(),
        with: with.to_owned(),
        with_resource: None,
        time: UnixMillis::try_from(id / 1000).unwrap(),
        stanza: format!("<message><body>{body}</body></message>"),
        message_id: None,
        origin_id: None,
        groupchat: false,
        body: Some(body.to_owned()),
    }
}

/// Ids of this many entries, one second apart.
pub(crate) fn second(n: u64) -> u64 {
    n * 1_000_000
}

pub(crate) async fn append(store: &dyn Store, entries: impl IntoIterator<Item = ArchiveEntry>) {
    store
        .append(entries.into_iter().map(Write::Archive).collect())
        .await
        .await
        .unwrap();
}

pub(crate) fn offline(user: &str, stanza: &str, max: u32) -> Write {
    Write::Offline(OfflineEntry {
        user: user.to_owned(),
        stamp: 5,
        stanza: stanza.to_owned(),
        max,
    })
}

pub(crate) async fn first(store: &dyn Store, owner: &str, filter: ArchiveFilter) -> ArchivePage {
    let paging = ArchivePaging {
        max: 100,
        count: true,
        ..ArchivePaging::default()
    };
    store.archive_page(owner, filter, paging).await.unwrap()
}

pub(crate) fn bodies(page: &ArchivePage) -> Vec<&str> {
    page.entries
        .iter()
        .filter_map(|entry| entry.body.as_deref())
        .collect()
}
