//! The tables of XEP-0045 §5, §8, §9 and §10, transcribed.

use super::Affiliation as A;
use super::Role as R;
use super::*;

fn outcome(result: Result<(), StanzaError>) -> &'static str {
    match result {
        Ok(()) => "yes",
        Err(error) => error.condition.as_str(),
    }
}

/// §5.1.2: the role by affiliation, in a moderated and in another room.
#[test]
fn people_enter_with_the_role_of_their_affiliation() {
    for (affiliation, moderated, open) in [
        (A::Outcast, R::None, R::None),
        (A::None, R::Visitor, R::Participant),
        (A::Member, R::Participant, R::Participant),
        (A::Admin, R::Moderator, R::Moderator),
        (A::Owner, R::Moderator, R::Moderator),
    ] {
        assert_eq!(initial_role(affiliation, true), moderated);
        assert_eq!(initial_role(affiliation, false), open);
    }
}

/// §5.2.1: rows "Ban Members and Unaffiliated Users", "Edit Member List", "Edit Admin List", "Edit Owner List".
#[test]
fn affiliations_are_changed_by_those_of_table_5_2_1() {
    let lower = [A::Outcast, A::None, A::Member];
    let upper = [A::Admin, A::Owner];
    for actor in A::ALL {
        for target in A::ALL {
            for to in A::ALL {
                let touches_upper = upper.contains(&target) || upper.contains(&to);
                let expected = match actor {
                    A::Owner => "yes",
                    A::Admin if touches_upper => "not-allowed",
                    A::Admin => "yes",
                    A::Outcast | A::None | A::Member => "forbidden",
                };
                let found = outcome(may_set_affiliation(actor, target, to));
                assert_eq!(found, expected, "{actor:?} makes {target:?} {to:?}");
            }
        }
    }
    assert_eq!(lower.len() + upper.len(), A::ALL.len());
}

/// §8.2 and §5.1.1: actor (affiliation, role), target (affiliation, role), answer.
#[test]
fn occupants_are_kicked_by_those_of_section_8_2() {
    for (actor, target, expected) in [
        ((A::None, R::Visitor), (A::None, R::Visitor), "forbidden"),
        (
            (A::Member, R::Participant),
            (A::None, R::Visitor),
            "forbidden",
        ),
        ((A::None, R::Moderator), (A::None, R::Participant), "yes"),
        (
            (A::None, R::Moderator),
            (A::Member, R::Participant),
            "not-allowed",
        ),
        (
            (A::Member, R::Moderator),
            (A::Member, R::Participant),
            "yes",
        ),
        (
            (A::Member, R::Moderator),
            (A::Member, R::Moderator),
            "not-allowed",
        ),
        (
            (A::Member, R::Moderator),
            (A::Admin, R::Moderator),
            "not-allowed",
        ),
        ((A::Admin, R::Moderator), (A::Member, R::Moderator), "yes"),
        (
            (A::Admin, R::Moderator),
            (A::Owner, R::Moderator),
            "not-allowed",
        ),
        ((A::Owner, R::Moderator), (A::Admin, R::Moderator), "yes"),
    ] {
        let standing = |(affiliation, role)| Standing { affiliation, role };
        let found = outcome(may_set_role(standing(actor), standing(target), R::None));
        assert_eq!(found, expected, "{actor:?} kicks {target:?}");
    }
}

/// §8.3, §8.4, §9.6, §9.7: actor, target, role, answer.
#[test]
fn voice_and_moderation_are_given_and_taken_as_sections_8_and_9_say() {
    for (actor, target, to, expected) in [
        (
            (A::None, R::Moderator),
            (A::None, R::Visitor),
            R::Participant,
            "yes",
        ),
        (
            (A::None, R::Moderator),
            (A::None, R::Participant),
            R::Visitor,
            "yes",
        ),
        (
            (A::Member, R::Participant),
            (A::None, R::Visitor),
            R::Participant,
            "forbidden",
        ),
        (
            (A::Owner, R::Moderator),
            (A::Admin, R::Moderator),
            R::Visitor,
            "not-allowed",
        ),
        (
            (A::Member, R::Moderator),
            (A::Member, R::Participant),
            R::Moderator,
            "not-allowed",
        ),
        (
            (A::Admin, R::Moderator),
            (A::Member, R::Participant),
            R::Moderator,
            "yes",
        ),
        (
            (A::Admin, R::Moderator),
            (A::None, R::Moderator),
            R::Participant,
            "yes",
        ),
        (
            (A::Owner, R::Moderator),
            (A::Owner, R::Moderator),
            R::Participant,
            "not-allowed",
        ),
        (
            (A::Member, R::Moderator),
            (A::None, R::Moderator),
            R::Participant,
            "not-allowed",
        ),
    ] {
        let standing = |(affiliation, role)| Standing { affiliation, role };
        let found = outcome(may_set_role(standing(actor), standing(target), to));
        assert_eq!(found, expected, "{actor:?} makes {target:?} {to:?}");
    }
}

/// §5.2.1: row "Retrieve Member List"; §9.2: the ban list is for admins.
#[test]
fn lists_are_read_by_those_who_may() {
    for (actor, members, outcasts) in [
        (A::Outcast, false, false),
        (A::None, false, false),
        (A::Member, true, false),
        (A::Admin, true, true),
        (A::Owner, true, true),
    ] {
        assert_eq!(may_list(actor, A::Member), members, "{actor:?}");
        assert_eq!(may_list(actor, A::Outcast), outcasts, "{actor:?}");
    }
}

/// §5.1.2 and §5.2.2: before, after, role then, moderated room, role now.
#[test]
fn a_change_of_affiliation_changes_the_role() {
    for (before, after, role, moderated, expected) in [
        (A::None, A::Admin, R::Visitor, true, R::Moderator),
        (A::None, A::Member, R::Visitor, true, R::Participant),
        (A::None, A::Member, R::Moderator, true, R::Moderator),
        (A::Admin, A::Member, R::Moderator, false, R::Participant),
        (A::Owner, A::None, R::Moderator, true, R::Visitor),
        (A::Member, A::None, R::Participant, true, R::Visitor),
        (A::Member, A::None, R::Participant, false, R::Participant),
        (A::Member, A::None, R::Visitor, false, R::Visitor),
        (A::Member, A::Outcast, R::Participant, false, R::None),
    ] {
        assert_eq!(role_after(before, after, role, moderated), expected);
    }
}
