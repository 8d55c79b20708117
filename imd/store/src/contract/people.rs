//! Invitations, groups, and the import of people.

use super::{account, add_account, credentials};
use crate::{
    Group, ImportOutcome, ImportedPerson, Invite, InviteKind, Role, RosterItem, Store, StoreError,
    Subscription,
};

fn invite(token: &str) -> Invite {
    Invite {
        token: token.to_owned(),
        kind: InviteKind::Account,
        inviter: Some("alice".to_owned()),
        username: None,
        role: Role::Limited,
        groups: vec!["family".to_owned(), "gone".to_owned()],
        created_at: 10,
        expires_at: Some(100),
        uses_left: Some(2),
        note: Some("for the cousins".to_owned()),
    }
}

pub async fn an_invite_is_kept_with_all_its_fields(store: &dyn Store) {
    store.create_invite(invite("t")).await.unwrap();
    let again = store.create_invite(invite("t")).await;
    assert!(matches!(again, Err(StoreError::Exists { .. })), "{again:?}");
    assert_eq!(store.invite("t").await, Ok(Some(invite("t"))));
    assert_eq!(store.invite("u").await, Ok(None));
    let newer = Invite {
        created_at: 20,
        ..invite("u")
    };
    store.create_invite(newer.clone()).await.unwrap();
    assert_eq!(store.invites().await, Ok(vec![newer, invite("t")]));
    assert_eq!(store.revoke_invite("t").await, Ok(true));
    assert_eq!(store.revoke_invite("t").await, Ok(false));
}

pub async fn an_invite_runs_out_by_use_and_by_time(store: &dyn Store) {
    store.create_invite(invite("t")).await.unwrap();
    assert_eq!(store.use_invite("t", 100).await, Ok(None), "too late");
    for left in [1, 0] {
        assert_eq!(
            store.use_invite("t", 50).await.unwrap().unwrap().uses_left,
            Some(left)
        );
    }
    assert_eq!(store.use_invite("t", 50).await, Ok(None), "used up");
    let forever = Invite {
        expires_at: None,
        uses_left: None,
        ..invite("forever")
    };
    store.create_invite(forever.clone()).await.unwrap();
    assert_eq!(
        store.use_invite("forever", i64::MAX).await,
        Ok(Some(forever))
    );
    assert_eq!(store.delete_spent_invites(50).await, Ok(1));
    assert_eq!(store.invites().await.unwrap().len(), 1);
}

fn group(id: &str, name: &str) -> Group {
    Group {
        id: id.to_owned(),
        name: name.to_owned(),
        room: Some(format!("{id}@rooms.x")),
    }
}

pub async fn redeeming_an_invite_makes_the_account_and_joins_its_groups(store: &dyn Store) {
    store.create_group(group("family", "Family")).await.unwrap();
    add_account(store, "taken").await;
    store.create_invite(invite("t")).await.unwrap();
    let taken = store
        .redeem_invite("t", 50, account("taken"), credentials(1))
        .await;
    assert!(matches!(taken, Err(StoreError::Exists { .. })), "{taken:?}");
    let used = store
        .redeem_invite("t", 50, account("bob"), credentials(2))
        .await
        .unwrap();
    assert_eq!(
        used.uses_left,
        Some(1),
        "the failed attempt has used nothing"
    );
    assert_eq!(store.credentials("bob").await, Ok(Some(credentials(2))));
    assert_eq!(
        store.groups_of("bob").await,
        Ok(vec![group("family", "Family")])
    );
    let late = store
        .redeem_invite("t", 100, account("carol"), credentials(3))
        .await;
    assert!(matches!(late, Err(StoreError::Absent { .. })), "{late:?}");
    store
        .create_invite(Invite {
            kind: InviteKind::Contact,
            ..invite("c")
        })
        .await
        .unwrap();
    assert!(
        store
            .redeem_invite("c", 50, account("carol"), credentials(3))
            .await
            .is_err()
    );
    assert_eq!(store.account("carol").await, Ok(None));
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub async fn members_of_a_group_have_each_other(store: &dyn Store) {
    for name in ["alice", "bob", "carol", "dan"] {
        add_account(store, name).await;
    }
    store.create_group(group("a", "A")).await.unwrap();
    store.create_group(group("b", "B")).await.unwrap();
    store
        .add_group_members("a", &names(&["alice", "bob"]))
        .await
        .unwrap();
    store
        .add_group_members("b", &names(&["alice", "bob", "carol"]))
        .await
        .unwrap();
    assert_eq!(
        store.group_members("b").await,
        Ok(names(&["alice", "bob", "carol"]))
    );
    assert_eq!(
        store.group_mates("alice").await,
        Ok(names(&["bob", "carol"]))
    );
    assert_eq!(store.group_mates("dan").await, Ok(Vec::new()));
    assert_eq!(store.share_a_group("alice", "carol").await, Ok(true));
    assert_eq!(store.share_a_group("alice", "dan").await, Ok(false));
    store
        .remove_group_members("b", &names(&["carol", "nobody"]))
        .await
        .unwrap();
    assert_eq!(store.share_a_group("alice", "carol").await, Ok(false));
    store.remove_account("bob", "bob@x").await.unwrap();
    assert_eq!(store.group_members("a").await, Ok(names(&["alice"])));
}

pub async fn members_are_added_all_or_none(store: &dyn Store) {
    add_account(store, "alice").await;
    store.create_group(group("a", "A")).await.unwrap();
    let refused = store
        .add_group_members("a", &names(&["alice", "nobody"]))
        .await;
    assert_eq!(refused, Err(StoreError::absent("account \"nobody\"")));
    assert_eq!(store.group_members("a").await, Ok(Vec::new()));
    let missing = store.add_group_members("zzz", &names(&["alice"])).await;
    assert_eq!(missing, Err(StoreError::absent("group \"zzz\"")));
}

pub async fn groups_are_renamed_listed_and_deleted(store: &dyn Store) {
    store.create_group(group("z", "A")).await.unwrap();
    store.create_group(group("y", "B")).await.unwrap();
    assert!(matches!(
        store.create_group(group("z", "C")).await,
        Err(StoreError::Exists { .. })
    ));
    store
        .update_group(Group {
            room: None,
            ..group("z", "Z")
        })
        .await
        .unwrap();
    assert_eq!(
        store.groups().await,
        Ok(vec![
            group("y", "B"),
            Group {
                room: None,
                ..group("z", "Z")
            }
        ])
    );
    assert_eq!(store.delete_group("z").await, Ok(true));
    assert_eq!(store.delete_group("z").await, Ok(false));
    assert_eq!(store.group("z").await, Ok(None));
    assert!(matches!(
        store.update_group(group("z", "Z")).await,
        Err(StoreError::Absent { .. })
    ));
}

fn both(name: &str, groups: &[&str]) -> RosterItem {
    RosterItem {
        contact: format!("{name}@x"),
        subscription: Subscription::Both,
        groups: names(groups),
        ..RosterItem::default()
    }
}

async fn settled(store: &dyn Store, of: &[&str]) -> usize {
    let changes = store.update_group_contacts("x", &names(of), None).await;
    changes.unwrap().len()
}

pub async fn people_of_a_group_are_contacts_until_they_share_none(store: &dyn Store) {
    let all = ["alice", "bob", "carol"];
    for name in all {
        add_account(store, name).await;
    }
    let display = Some("Bob B.".to_owned());
    store
        .set_display_name("bob", display.clone())
        .await
        .unwrap();
    for id in ["a", "b"] {
        store.create_group(group(id, id)).await.unwrap();
        store.add_group_members(id, &names(&all)).await.unwrap();
    }
    assert_eq!(settled(store, &all).await, 6);
    assert_eq!(settled(store, &all).await, 0, "nothing is left to do");
    let bob = RosterItem {
        name: display,
        ..both("bob", &["a", "b"])
    };
    assert_eq!(store.roster_item("alice", "bob@x").await, Ok(Some(bob)));
    store
        .remove_group_members("a", &names(&["carol"]))
        .await
        .unwrap();
    assert_eq!(settled(store, &all).await, 4);
    let item = store.roster_item("carol", "alice@x").await;
    assert_eq!(item, Ok(Some(both("alice", &["b"]))));
    store.delete_group("b").await.unwrap();
    let renamed = Group {
        name: "A!".to_owned(),
        ..group("a", "a")
    };
    store.update_group(renamed).await.unwrap();
    let changes = store
        .update_group_contacts("x", &names(&["carol"]), None)
        .await
        .unwrap();
    let version = store.roster_version("carol").await.unwrap();
    assert_eq!(changes.len(), 2);
    assert_eq!((&changes[1].after, changes[1].version), (&None, version));
    settled(store, &all).await;
    assert_eq!(store.roster("carol").await.unwrap().items, []);
    let item = store.roster_item("bob", "alice@x").await;
    assert_eq!(item, Ok(Some(both("alice", &["A!"]))));
}

pub async fn a_new_display_name_reaches_contacts_by_groups_but_not_names_of_ones_own(
    store: &dyn Store,
) {
    let all = ["alice", "bob", "carol", "dave"];
    for name in all {
        add_account(store, name).await;
    }
    let named = |name: &str| Some(name.to_owned());
    store.create_group(group("a", "a")).await.unwrap();
    store
        .add_group_members("a", &names(&["alice", "bob", "carol"]))
        .await
        .unwrap();
    settled(store, &all).await;
    let chosen = RosterItem {
        name: named("My teacher"),
        ..both("bob", &["a"])
    };
    store
        .set_roster_item("carol", chosen.clone(), 10)
        .await
        .unwrap();

    store
        .set_display_name("bob", named("Bob B."))
        .await
        .unwrap();
    let changes = store.rename_group_contact("x", "bob", None).await.unwrap();
    let changed: Vec<&str> = changes.iter().map(|c| c.user.as_str()).collect();
    assert_eq!(changed, ["alice"]);
    let bob = RosterItem {
        name: named("Bob B."),
        ..both("bob", &["a"])
    };
    assert_eq!(changes[0].after, Some(bob.clone()));
    assert_eq!(
        changes[0].version,
        store.roster_version("alice").await.unwrap()
    );
    assert_eq!(store.roster_item("alice", "bob@x").await, Ok(Some(bob)));
    assert_eq!(store.roster_item("carol", "bob@x").await, Ok(Some(chosen)));

    let again = store.rename_group_contact("x", "bob", None).await.unwrap();
    assert_eq!(again, [], "nobody has the old name any more");
    store.set_display_name("bob", None).await.unwrap();
    store
        .rename_group_contact("x", "bob", named("Bob B."))
        .await
        .unwrap();
    let item = store.roster_item("alice", "bob@x").await;
    assert_eq!(item, Ok(Some(both("bob", &["a"]))));
    let nobody = store.rename_group_contact("x", "zoe", None).await;
    assert_eq!(nobody, Ok(Vec::new()));
}

pub async fn contacts_of_ones_own_outlast_the_group(store: &dyn Store) {
    for name in ["alice", "bob"] {
        add_account(store, name).await;
    }
    let own = RosterItem {
        name: Some("Bobby".to_owned()),
        subscription: Subscription::To,
        groups: names(&["Mine", "a"]),
        ..both("bob", &[])
    };
    store
        .set_roster_item("alice", own.clone(), 10)
        .await
        .unwrap();
    store.create_group(group("a", "a")).await.unwrap();
    store.create_group(group("b", "b")).await.unwrap();
    for id in ["a", "b"] {
        let members = names(&["alice", "bob"]);
        store.add_group_members(id, &members).await.unwrap();
    }
    settled(store, &["alice", "bob"]).await;
    let shared = RosterItem {
        subscription: Subscription::Both,
        groups: names(&["Mine", "a", "b"]),
        ..own.clone()
    };
    assert_eq!(store.roster_item("alice", "bob@x").await, Ok(Some(shared)));
    for id in ["a", "b"] {
        store.delete_group(id).await.unwrap();
        settled(store, &["alice", "bob"]).await;
    }
    assert_eq!(store.roster_item("alice", "bob@x").await, Ok(Some(own)));
    assert_eq!(store.roster_item("bob", "alice@x").await, Ok(None));
}

pub async fn only_the_named_contacts_are_looked_at(store: &dyn Store) {
    let all = ["alice", "bob", "carol"];
    for name in all {
        add_account(store, name).await;
    }
    store.create_group(group("a", "a")).await.unwrap();
    store.add_group_members("a", &names(&all)).await.unwrap();
    let with = names(&["carol", "nobody"]);
    let changes = store
        .update_group_contacts("x", &names(&all), Some(&with))
        .await
        .unwrap();
    let pairs: Vec<_> = changes
        .iter()
        .map(|c| (c.user.as_str(), c.contact.as_str()))
        .collect();
    assert_eq!(pairs, [("alice", "carol"), ("bob", "carol")]);
    store.remove_group_members("a", &with).await.unwrap();
    let changes = store
        .update_group_contacts("x", &names(&all), Some(&with))
        .await;
    assert_eq!(changes.unwrap().len(), 2);
}

fn person(username: &str, groups: &[&str]) -> ImportedPerson {
    ImportedPerson {
        account: account(username),
        credentials: credentials(1),
        display_name: Some(username.to_uppercase()),
        groups: names(groups),
    }
}

pub async fn an_import_creates_people_and_groups(store: &dyn Store) {
    store.create_group(group("1a", "Class 1a")).await.unwrap();
    let people: Vec<_> = (0..4_000)
        .map(|n| {
            person(
                &format!("pupil{n:04}"),
                &["Class 1a", if n < 30 { "Choir" } else { "All" }],
            )
        })
        .collect();
    let outcome = store.import_people(people).await;
    assert_eq!(
        outcome,
        Ok(ImportOutcome::Done {
            accounts: 4_000,
            groups: 2
        })
    );
    assert_eq!(store.group_members("1a").await.unwrap().len(), 4_000);
    assert_eq!(store.group_members("Choir").await.unwrap().len(), 30);
    assert_eq!(
        store.display_name("pupil0007").await,
        Ok(Some("PUPIL0007".to_owned()))
    );
}

pub async fn an_import_with_bad_rows_names_them_all_and_changes_nothing(store: &dyn Store) {
    add_account(store, "alice").await;
    let people = vec![
        person("bob", &["G"]),
        person("alice", &[]),
        person("carol", &[]),
        person("bob", &[]),
    ];
    let ImportOutcome::Refused(rows) = store.import_people(people).await.unwrap() else {
        panic!("two rows are bad");
    };
    assert_eq!(rows.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 3]);
    assert!(
        rows[0].1.contains("alice") && rows[1].1.contains("bob"),
        "{rows:?}"
    );
    assert_eq!(store.count_accounts().await, Ok(1));
    assert_eq!(store.groups().await, Ok(Vec::new()));
}

pub async fn a_display_name_is_set_and_removed(store: &dyn Store) {
    add_account(store, "alice").await;
    assert_eq!(store.display_name("alice").await, Ok(None));
    store
        .set_display_name("alice", Some("Alice L.".to_owned()))
        .await
        .unwrap();
    assert_eq!(
        store.display_name("alice").await,
        Ok(Some("Alice L.".to_owned()))
    );
    store.set_display_name("alice", None).await.unwrap();
    assert_eq!(store.display_name("alice").await, Ok(None));
    assert!(matches!(
        store.set_display_name("nobody", None).await,
        Err(StoreError::Absent { .. })
    ));
}
